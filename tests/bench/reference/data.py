"""The tables, the one user and the rows of both references."""

import os
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import jwt

SECRET = os.environ["BENCH_SECRET"]
DATABASE_URL = os.environ["DATABASE_URL"]
EMAIL = "ada@example.com"
PASSWORD = os.environ["BENCH_PASSWORD"]
ROWS = 1_000
USER = uuid4()
STATUSES = ("open", "in_progress", "done", "cancelled")


def rows() -> list[dict[str, object]]:
    """Make to-dos, each created a second after the one before."""
    began = datetime.now(UTC)
    return [
        {
            "id": uuid4(),
            "owner_id": USER,
            "title": f"Buy milk {number}",
            "status": STATUSES[number % 4],
            "due_at": began + timedelta(days=1),
            "created_at": began + timedelta(seconds=number),
            "updated_at": began,
        }
        for number in range(ROWS)
    ]


def token() -> str:
    """Make an access token."""
    now = datetime.now(UTC)
    return jwt.encode({"sub": str(USER), "exp": now + timedelta(minutes=15)}, SECRET, "HS256")


def whose(authorization: str) -> str:
    """Read an access token.

    Raises:
        jwt.InvalidTokenError: If it is none of ours.
    """
    subject: str = jwt.decode(authorization.removeprefix("Bearer "), SECRET, ["HS256"])["sub"]
    return subject
