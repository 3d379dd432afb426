"""What happens to users."""

from dataclasses import dataclass
from uuid import UUID

from app.core.events import Event


@dataclass(frozen=True, kw_only=True)
class UserRegistered(Event):
    """Somebody has opened an account."""

    user_id: UUID


@dataclass(frozen=True, kw_only=True)
class EmailChanged(Event):
    """An account has another address."""

    user_id: UUID
    former: str


@dataclass(frozen=True, kw_only=True)
class UserDeleted(Event):
    """An account is gone, with all that belonged to it."""

    user_id: UUID
