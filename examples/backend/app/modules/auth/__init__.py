"""Sessions, roles, and scopes."""
