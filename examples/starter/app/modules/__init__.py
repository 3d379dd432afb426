"""The business: one folder a noun, each from `routes` down to `models`."""
