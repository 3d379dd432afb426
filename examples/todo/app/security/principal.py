"""The current user and their permissions."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # all others change data, and require `write`


class Scope(StrEnum):
    """Permissions of a token or session."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


SCOPES: dict[str, str] = {
    Scope.READ: "Read your data.",
    Scope.WRITE: "Change your data.",
    Scope.ADMIN: "Manage all accounts; for administrators.",
}


@dataclass(frozen=True)
class Principal:
    """The current user, as identified by a token or session."""

    user_id: UUID
    scopes: frozenset[str]
    expires_at: datetime
    session_id: UUID | None = None  # None if the token belongs to no session


@dataclass(frozen=True)
class Device:
    """The device of a sign-in, so that users recognize their sessions."""

    client: str
    address: str
