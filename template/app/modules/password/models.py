"""Tables for passwords, registrations, and emailed tokens."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlmodel import Field

from app.db.base import Base, Expiring, UtcDateTime, text_enum, utc_now


class Purpose(StrEnum):
    """Purpose of a link in an email."""

    RESET_PASSWORD = "reset_password"  # noqa: S105 - a purpose, not a password
    CHANGE_EMAIL = "change_email"


class PasswordHash(Base, table=True):
    """The hashed password of a user. A user without a row can set a password with a reset link."""

    __tablename__ = "password_hash"

    user_id: UUID = Field(primary_key=True, foreign_key="user_account.id", ondelete="CASCADE")
    hash: str = Field(max_length=200)
    changed_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class Registration(Expiring, table=True):
    """A registration, until the owner of the mailbox verifies the address and chooses a password."""

    __tablename__ = "registration"

    digest: str = Field(primary_key=True, max_length=64)
    email: str = Field(max_length=254)
    name: str = Field(max_length=100)


class MailedToken(Expiring, table=True):
    """A single-use token for the link in an email."""

    __tablename__ = "mailed_token"

    digest: str = Field(primary_key=True, max_length=64)
    user_id: UUID = Field(foreign_key="user_account.id", ondelete="CASCADE", index=True)
    purpose: Purpose = Field(sa_type=text_enum(Purpose, length=20))
    email: str = Field(max_length=254)
