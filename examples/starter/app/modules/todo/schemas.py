"""Request and response models for to-dos."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field

from app.core.schemas import EntityModel, RequestModel, omittable
from app.modules.todo.models import TodoStatus

Title = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["Buy milk"])]
Notes = Annotated[str, Field(max_length=10_000, pattern=r"^[^\x00]*$", examples=["The one in glass bottles."])]
# The limits leave room for conversion between time zones.
UtcTimestamp = Annotated[
    AwareDatetime,
    Field(
        ge=datetime(1970, 1, 2, tzinfo=UTC),
        le=datetime(9999, 12, 30, tzinfo=UTC),
        examples=["2030-01-31T18:00:00+01:00"],
    ),
    AfterValidator(lambda timestamp: timestamp.astimezone(UTC)),
]


class TodoOrder(StrEnum):
    """Sort orders for to-dos; `-` means descending."""

    CREATED_AT = "created_at"
    NEWEST = "-created_at"
    DUE_AT = "due_at"
    DUE_LAST = "-due_at"


class TodoCreate(RequestModel):
    """A new to-do."""

    title: Title
    notes: Notes = ""
    due_at: UtcTimestamp | None = None


class TodoUpdate(RequestModel):
    """The fields to change. Omitted fields keep their values."""

    title: Title = omittable()
    notes: Notes = omittable()
    status: TodoStatus = omittable()
    due_at: UtcTimestamp | None = omittable()


@dataclass(frozen=True)
class TodoFilter:
    """Filters for a list of to-dos."""

    status: TodoStatus | None = None
    due_from: datetime | None = None
    due_before: datetime | None = None


class TodoRead(EntityModel):
    """A to-do."""

    owner_id: UUID
    title: str = Field(examples=["Buy milk"])
    notes: str = Field(examples=["The one in glass bottles."])
    status: TodoStatus
    due_at: datetime | None
