"""Domain events of passwords, for your subscribers: the modules of the template have none."""

from dataclasses import dataclass
from uuid import UUID

from app.core.events import Event


@dataclass(frozen=True, kw_only=True)
class PasswordChanged(Event):
    """The password of a user was changed."""

    user_id: UUID
