"""Domain events of accounts with a password. Their subscribers send emails."""

from dataclasses import dataclass
from uuid import UUID

from app.core.events import Event


@dataclass(frozen=True, kw_only=True)
class RegistrationRequested(Event):
    """An account was requested; the email address is not verified yet."""

    email: str
    name: str


@dataclass(frozen=True, kw_only=True)
class RegistrationRepeated(Event):
    """An account was requested with an email address that already has one."""

    user_id: UUID


@dataclass(frozen=True, kw_only=True)
class PasswordResetRequested(Event):
    """A password reset was requested."""

    user_id: UUID


@dataclass(frozen=True, kw_only=True)
class PasswordChanged(Event):
    """The password of an account was changed."""

    user_id: UUID


@dataclass(frozen=True, kw_only=True)
class EmailChangeRequested(Event):
    """A new email address was requested for an account; the address is not confirmed yet."""

    user_id: UUID
    email: str
