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


@dataclass(frozen=True, kw_only=True)
class TodoDeleted(TodoEvent):
    """It is gone."""

    kind = "deleted"
