"""Domain events of passwords. Nothing subscribes to them yet."""

from dataclasses import dataclass
from uuid import UUID

from app.core.events import Event


@dataclass(frozen=True, kw_only=True)
class PasswordChanged(Event):
    """The password of a user was changed."""

    user_id: UUID
