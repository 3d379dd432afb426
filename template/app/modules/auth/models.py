"""Session and role tables."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlmodel import Field

from app.db.base import Base, Expiring, UtcDateTime, text_enum, utc_now

SESSION_USER_FK = "fk_login_session_user_id"


class Role(StrEnum):
    """Roles that extend the rights of a user."""

    ADMIN = "admin"


class UserRole(Base, table=True):
    """A role granted to a user."""

    __tablename__ = "user_role"

    user_id: UUID = Field(primary_key=True, foreign_key="user_account.id", ondelete="CASCADE")
    role: Role = Field(primary_key=True, sa_type=text_enum(Role, length=20))


class LoginSession(Expiring, table=True):
    """A session: one sign-in on one device. A digest of its secret is in another table."""

    __tablename__ = "login_session"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    user_id: UUID = Field(foreign_key="user_account.id", ondelete="CASCADE", index=True)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    used_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    scope: str = Field(max_length=200)  # the granted scopes in OAuth format: `read write`
    client: str = Field(max_length=200)
    address: str = Field(max_length=45)
