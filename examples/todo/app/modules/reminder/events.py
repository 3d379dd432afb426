"""Domain events of reminders."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.core.events import Event


@dataclass(frozen=True, kw_only=True)
class TodoDue(Event):
    """A to-do is due."""

    owner_id: UUID
    todo_id: UUID
    due_at: datetime
