"""Performance of the generated service, compared with other implementations: `just bench`."""
