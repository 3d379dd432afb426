"""How passwords, and what proves an address, are stored."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import String
from sqlmodel import Field

from app.db.base import Base, Expiring, UtcDateTime, utc_now


class Purpose(StrEnum):
    """What a link in a mail is for."""

    RESET_PASSWORD = "reset_password"  # noqa: S105 - what the link is for
    CHANGE_EMAIL = "change_email"


class PasswordHash(Base, table=True):
    """The password of an account, hashed. An account without a row gets one by a reset link."""

    __tablename__ = "password_hash"

    user_id: UUID = Field(primary_key=True, foreign_key="user_account.id", ondelete="CASCADE")
    hash: str = Field(max_length=200)
    changed_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class Registration(Expiring, table=True):
    """An account that somebody wants, until whoever reads the mail opens it and chooses the password."""

    __tablename__ = "registration"

    digest: str = Field(primary_key=True, max_length=64)
    email: str = Field(max_length=254)
    name: str = Field(max_length=100)


class MailedToken(Expiring, table=True):
    """A link that was mailed, for one use by whoever reads that mail."""

    __tablename__ = "mailed_token"

    digest: str = Field(primary_key=True, max_length=64)
    user_id: UUID = Field(foreign_key="user_account.id", ondelete="CASCADE", index=True)
    purpose: Purpose = Field(sa_type=String(20))
    email: str = Field(max_length=254)
