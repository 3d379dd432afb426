"""Signed access tokens and single-use refresh tokens."""
