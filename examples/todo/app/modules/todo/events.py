"""Domain events of to-dos."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from app.core.events import Event


@dataclass(frozen=True, kw_only=True)
class TodoEvent(Event):
    """Base class for events that the feed shows."""

    kind: ClassVar[str]

    owner_id: UUID
    todo_id: UUID


@dataclass(frozen=True, kw_only=True)
class TodoCreated(TodoEvent):
    """A to-do was created."""

    kind = "created"


@dataclass(frozen=True, kw_only=True)
class TodoChanged(TodoEvent):
    """The text, due date, or status of a to-do was changed."""

    kind = "changed"


# Published in addition to `TodoChanged`: subscribers that track a to-do need every change, and subscribers interested in
# completed work need not compare statuses. It is not a `TodoEvent`, so that the feed does not show the change twice.
@dataclass(frozen=True, kw_only=True)
class TodoCompleted(Event):
    """A to-do was completed."""

    owner_id: UUID
    todo_id: UUID


@dataclass(frozen=True, kw_only=True)
class TodoDeleted(TodoEvent):
    """A to-do was deleted."""

    kind = "deleted"
