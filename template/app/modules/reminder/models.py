"""How reminders are stored."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field

from app.db.base import Base, UtcDateTime


class Reminder(Base, table=True):
    """That somebody was reminded of a to-do, for the date that it had then. Another date is another reminder."""

    __tablename__ = "reminder"

    todo_id: UUID = Field(primary_key=True, foreign_key="todo.id", ondelete="CASCADE")
    due_at: datetime = Field(sa_type=UtcDateTime)
