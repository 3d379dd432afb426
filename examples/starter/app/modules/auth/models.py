"""How sessions and roles are stored."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import String
from sqlmodel import Field

from app.db.base import Base, Expiring, UtcDateTime, utc_now

SESSION_OF_USER = "fk_login_session_user_id"


class Role(StrEnum):
    """What somebody is, beyond having an account."""

    ADMIN = "admin"


class UserRole(Base, table=True):
    """A role that somebody has."""

    __tablename__ = "user_role"

    user_id: UUID = Field(primary_key=True, foreign_key="user_account.id", ondelete="CASCADE")
    # Text, not a database enum: a new role then needs no migration that locks the table.
    role: Role = Field(primary_key=True, sa_type=String(20))


class LoginSession(Expiring, table=True):
    """One sign-in on one device, until it expires or is ended. What proves it is stored by the kind of sign-in."""

    __tablename__ = "login_session"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    user_id: UUID = Field(foreign_key="user_account.id", ondelete="CASCADE", index=True)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    used_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    scope: str = Field(max_length=200)  # what was asked for and allowed, as OAuth writes it: `read write`
    client: str = Field(max_length=200)
    address: str = Field(max_length=45)
