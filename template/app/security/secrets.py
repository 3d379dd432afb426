"""Random secrets that are stored as digests.

They have 256 random bits and cannot be guessed, so a fast hash without a salt is sufficient.
"""

import hashlib
import secrets


def new_secret() -> str:
    """Return a new URL-safe secret."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Return the digest that is stored instead of the secret."""
    return hashlib.sha256(secret.encode()).hexdigest()
