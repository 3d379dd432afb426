"""Domain events of accounts with a password."""

from dataclasses import dataclass
from uuid import UUID

from app.core.events import Event


@dataclass(frozen=True, kw_only=True)
class PasswordChanged(Event):
    """The password of an account was changed."""

    user_id: UUID
