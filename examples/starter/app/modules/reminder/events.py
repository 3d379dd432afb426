"""What happens when time goes by."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.core.events import Event


@dataclass(frozen=True, kw_only=True)
class TodoDue(Event):
    """The time has come for which a to-do was noted."""

    owner_id: UUID
    todo_id: UUID
    due_at: datetime
