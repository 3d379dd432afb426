"""Refresh token table."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field

from app.db.base import Expiring, UtcDateTime


class RefreshToken(Expiring, table=True):
    """An issued refresh token. Used tokens are kept until they expire, so that reuse is detected."""

    __tablename__ = "refresh_token"

    digest: str = Field(primary_key=True, max_length=64)
    session_id: UUID = Field(foreign_key="login_session.id", ondelete="CASCADE", index=True)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
