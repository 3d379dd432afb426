"""To-do tables."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Index
from sqlmodel import Field

from app.db.base import Entity, UtcDateTime, text_enum

OWNER_FK = "fk_todo_owner_id"


class TodoStatus(StrEnum):
    """Status of a to-do."""

    OPEN = "open"
    IN_PROGRESS = "in_progress"
    DONE = "done"
    CANCELLED = "cancelled"


ACTIVE_STATUSES = (TodoStatus.OPEN, TodoStatus.IN_PROGRESS)


class Todo(Entity, table=True):
    """A to-do of a user."""

    __tablename__ = "todo"
    __table_args__ = (
        Index("ix_todo_created_at", "owner_id", "created_at", "id"),
        Index("ix_todo_due_at", "owner_id", "due_at", "id"),
    )

    owner_id: UUID = Field(foreign_key="user_account.id", ondelete="CASCADE")
    title: str = Field(max_length=200)
    notes: str = Field(default="", max_length=10_000)
    status: TodoStatus = Field(default=TodoStatus.OPEN, sa_type=text_enum(TodoStatus, length=20))
    due_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
