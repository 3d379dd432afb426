"""Accounts with a password: registration, email verification, password reset, and deletion."""
