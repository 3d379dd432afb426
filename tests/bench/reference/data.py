"""The one user of both references, and their tokens."""

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
    """Make an access token."""
    now = datetime.now(UTC)
    return jwt.encode({"sub": str(USER), "exp": now + timedelta(hours=1)}, SECRET, "HS256")


def whose(authorization: str) -> str:
    """Read an access token.

    Raises:
        jwt.InvalidTokenError: If it is none of ours.
    """
    subject: str = jwt.decode(authorization.removeprefix("Bearer "), SECRET, ["HS256"])["sub"]
    return subject
