"""Secrets that are handed out once and kept as digests: refresh tokens, cookies, links in mails.

They have 256 random bits, so a plain hash is enough: there is nothing to guess.
"""

import hashlib
import secrets


def new_secret() -> str:
    """Make a secret that fits into a URL."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Return what is stored instead of the secret."""
    return hashlib.sha256(secret.encode()).hexdigest()
