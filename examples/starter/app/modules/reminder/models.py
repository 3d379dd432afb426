"""How reminders are stored."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index
from sqlmodel import Field, col

from app.db.base import Base, UtcDateTime
from app.modules.todo.models import Todo

# To-dos of everybody are looked for by their date, every minute.
Index("ix_todo_reminder", col(Todo.due_at))


class Reminder(Base, table=True):
    """That somebody was reminded of a to-do, for the date that it had then. Another date is another reminder."""

    __tablename__ = "reminder"

    todo_id: UUID = Field(primary_key=True, foreign_key="todo.id", ondelete="CASCADE")
    due_at: datetime = Field(sa_type=UtcDateTime)
