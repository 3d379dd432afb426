"""Domain events of to-dos."""

from dataclasses import dataclass
from uuid import UUID

from app.core.events import Event


@dataclass(frozen=True, kw_only=True)
class TodoEvent(Event):
    """Base class for the events of to-dos."""

    owner_id: UUID
    todo_id: UUID


@dataclass(frozen=True, kw_only=True)
class TodoCreated(TodoEvent):
    """A to-do was created."""


@dataclass(frozen=True, kw_only=True)
class TodoChanged(TodoEvent):
    """The text, due date, or status of a to-do was changed."""


# Published in addition to `TodoChanged`, so that subscribers interested in completed work need not compare statuses.
@dataclass(frozen=True, kw_only=True)
class TodoCompleted(TodoEvent):
    """A to-do was completed."""


@dataclass(frozen=True, kw_only=True)
class TodoDeleted(TodoEvent):
    """A to-do was deleted."""
