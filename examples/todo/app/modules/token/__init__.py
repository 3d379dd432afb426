"""Signed access tokens, and refresh tokens that are good for one use."""
