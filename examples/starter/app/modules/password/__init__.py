"""Accounts with a password: opened, proven, changed and closed by their owners."""
