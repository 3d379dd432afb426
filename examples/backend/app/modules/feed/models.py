"""Feed tables."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field

from app.db.base import Base, UtcDateTime, utc_now


class TodoFeed(Base, table=True):
    """Number of the last change to an owner's to-dos."""

    __tablename__ = "todo_feed"

    owner_id: UUID = Field(primary_key=True, foreign_key="user_account.id", ondelete="CASCADE")
    last: int


class TodoChange(Base, table=True):
    """A change to a to-do. The change numbers of an owner have no gaps and follow the commit order."""

    __tablename__ = "todo_change"

    owner_id: UUID = Field(primary_key=True, foreign_key="user_account.id", ondelete="CASCADE")
    number: int = Field(primary_key=True)
    kind: str = Field(max_length=20)
    todo_id: UUID
    occurred_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
