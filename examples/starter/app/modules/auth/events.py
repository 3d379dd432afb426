"""What happens to sessions."""

from dataclasses import dataclass
from uuid import UUID

from app.core.events import Event


@dataclass(frozen=True, kw_only=True)
class SignedIn(Event):
    """Somebody has signed in."""

    user_id: UUID
    session_id: UUID


@dataclass(frozen=True, kw_only=True)
class SignedOut(Event):
    """Sessions have ended: one, or all that a user had."""

    user_id: UUID
    session_id: UUID | None = None
