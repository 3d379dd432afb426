"""What happens to accounts with a password. People hear of it by mail."""

from dataclasses import dataclass
from uuid import UUID

from app.core.events import Event


@dataclass(frozen=True, kw_only=True)
class RegistrationRequested(Event):
    """Somebody wants an account and has to prove the address."""

    email: str
    name: str


@dataclass(frozen=True, kw_only=True)
class RegistrationRepeated(Event):
    """Somebody wants an account with an address that has one."""

    user_id: UUID


@dataclass(frozen=True, kw_only=True)
class PasswordResetRequested(Event):
    """Somebody has forgotten the password of an account, or says so."""

    user_id: UUID


@dataclass(frozen=True, kw_only=True)
class PasswordChanged(Event):
    """An account has another password."""

    user_id: UUID


@dataclass(frozen=True, kw_only=True)
class EmailChangeRequested(Event):
    """The owner of an account wants another address for it and has to prove that one."""

    user_id: UUID
    email: str
