"""The user of both references, and the access tokens."""

import os
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import jwt

SECRET = os.environ["BENCH_SECRET"]
DATABASE_URL = os.environ["DATABASE_URL"]
EMAIL = os.environ["BENCH_EMAIL"]
PASSWORD = os.environ["BENCH_PASSWORD"]
USER = uuid4()


def token() -> str:
    """Create an access token."""
    now = datetime.now(UTC)
    return jwt.encode({"sub": str(USER), "exp": now + timedelta(hours=1)}, SECRET, "HS256")


def user_id_of(authorization: str) -> str:
    """Return the user id from an Authorization header.

    Raises:
        jwt.InvalidTokenError: If the token is invalid.
    """
    subject: str = jwt.decode(authorization.removeprefix("Bearer "), SECRET, ["HS256"])["sub"]
    return subject
