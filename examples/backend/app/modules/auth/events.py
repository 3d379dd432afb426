"""Domain events of sessions. Nothing subscribes to them yet."""

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
    """The session `session_id` of a user was revoked; if it is None, all of them except `kept_session_id`."""

    user_id: UUID
    session_id: UUID | None = None
    kept_session_id: UUID | None = None
