"""How fast the generated service is, beside others that do the same work: `just bench`."""
