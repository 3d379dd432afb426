"""Domain events of sessions."""

from dataclasses import dataclass
from uuid import UUID

from app.core.events import Event


@dataclass(frozen=True, kw_only=True)
class SignedIn(Event):
    """A user signed in."""

    user_id: UUID
    session_id: UUID


@dataclass(frozen=True, kw_only=True)
class SignedOut(Event):
    """One session of a user ended; without `session_id`, all of them."""

    user_id: UUID
    session_id: UUID | None = None
