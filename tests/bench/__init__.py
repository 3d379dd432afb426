"""Performance of the generated service, compared with others that do the same work: `just bench`."""
