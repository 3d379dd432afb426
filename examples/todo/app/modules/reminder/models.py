"""Reminder table."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index
from sqlmodel import Field, col

from app.db.base import Base, UtcDateTime
from app.modules.todo.models import Todo

# The search for due to-dos covers all owners, so `ix_todo_due_at`, which starts with the owner, does not help.
Index("ix_todo_reminder", col(Todo.due_at))


class Reminder(Base, table=True):
    """The last reminder of a to-do, with the due date at that time. A new due date gets a new reminder."""

    __tablename__ = "reminder"

    todo_id: UUID = Field(primary_key=True, foreign_key="todo.id", ondelete="CASCADE")
    due_at: datetime = Field(sa_type=UtcDateTime)
