"""Identity and session cookie tables."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import UniqueConstraint
from sqlmodel import Field

from app.db.base import Base, Expiring, UtcDateTime, utc_now

IDENTITY_UNIQUE = "uq_identity_issuer_subject"
IDENTITY_USER_FK = "fk_identity_user_id"


class Identity(Base, table=True):
    """A link between a user and their account at an identity provider (issuer and subject)."""

    __tablename__ = "identity"
    __table_args__ = (UniqueConstraint("issuer", "subject", name=IDENTITY_UNIQUE),)

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    user_id: UUID = Field(foreign_key="user_account.id", ondelete="CASCADE", index=True)
    issuer: str = Field(max_length=255)
    subject: str = Field(max_length=255)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class SessionCookie(Expiring, table=True):
    """The cookie of a session, and the ID token that the provider expects at sign-out."""

    __tablename__ = "session_cookie"

    secret: str = Field(primary_key=True, max_length=64)  # digest of the cookie value
    session_id: UUID = Field(foreign_key="login_session.id", ondelete="CASCADE", index=True)
    provider: str = Field(max_length=32)
    id_token: str
