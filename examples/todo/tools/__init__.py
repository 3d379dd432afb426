"""Development tools. The service does not import them, and its image does not contain them."""
