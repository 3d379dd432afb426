"""Response models for the feed."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from app.core.schemas import ResponseModel
from app.modules.todo.schemas import TodoRead


class TodoChangeRead(ResponseModel):
    """A change in the feed. The event type is `created`, `changed`, or `deleted`."""

    todo_id: UUID
    occurred_at: datetime
    todo: TodoRead | None = Field(description="Current state of the to-do; null if it was deleted.")
