"""What happens to to-dos."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from app.core.events import Event


@dataclass(frozen=True, kw_only=True)
class TodoEvent(Event):
    """Something has happened to a to-do."""

    kind: ClassVar[str]

    owner_id: UUID
    todo_id: UUID


@dataclass(frozen=True, kw_only=True)
class TodoCreated(TodoEvent):
    """There is a new one."""

    kind = "created"


@dataclass(frozen=True, kw_only=True)
class TodoChanged(TodoEvent):
    """Its text, date or status is another."""

    kind = "changed"


# Published beside `TodoChanged`, not in its place: whoever follows a to-do hears of each change by the one, whoever wants
# to know what was achieved need not look at statuses. It is no `TodoEvent`, so the feed tells it once.
@dataclass(frozen=True, kw_only=True)
class TodoCompleted(Event):
    """It is done."""

    owner_id: UUID
    todo_id: UUID


@dataclass(frozen=True, kw_only=True)
class TodoDeleted(TodoEvent):
    """It is gone."""

    kind = "deleted"
