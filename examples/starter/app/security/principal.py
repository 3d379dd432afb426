"""Who asks, and what they may do."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Scope(StrEnum):
    """What a token or a session may be used for."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


SCOPES: dict[str, str] = {
    Scope.READ: "Read what you may see.",
    Scope.WRITE: "Change what you may change.",
    Scope.ADMIN: "Look after all accounts; for administrators.",
}


@dataclass(frozen=True)
class Principal:
    """Whoever is signed in, as far as the token or the session says."""

    user_id: UUID
    scopes: frozenset[str]
    expires_at: datetime
    session_id: UUID | None = None  # none if an identity provider's token was shown


@dataclass(frozen=True)
class Device:
    """From where somebody signs in, so that they recognise their sessions."""

    client: str
    address: str
