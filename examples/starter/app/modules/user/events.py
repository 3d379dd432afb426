"""Domain events of users."""

from dataclasses import dataclass
from uuid import UUID

from app.core.events import Event


@dataclass(frozen=True, kw_only=True)
class UserRegistered(Event):
    """A user was created."""

    user_id: UUID


@dataclass(frozen=True, kw_only=True)
class EmailChanged(Event):
    """The email address of a user was changed."""

    user_id: UUID
    old_email: str


@dataclass(frozen=True, kw_only=True)
class UserDeleted(Event):
    """A user and all their data were deleted."""

    user_id: UUID
