"""Dependencies of the to-do routes."""

from typing import Annotated

from fastapi import Depends, Query

from app.modules.todo.models import TodoStatus
from app.modules.todo.schemas import TodoFilter, UtcTimestamp

# isort: split
from app.modules.auth.dependencies import OwnerId

__all__ = ["OwnerId", "TodoFilterDep"]


async def get_filter(
    status: Annotated[TodoStatus | None, Query(description="Return only to-dos with this status.")] = None,
    due_from: Annotated[UtcTimestamp | None, Query(description="Return only to-dos due at or after this time.")] = None,
    due_before: Annotated[UtcTimestamp | None, Query(description="Return only to-dos due before this time.")] = None,
) -> TodoFilter:
    """Return the filters of the list."""
    return TodoFilter(status, due_from, due_before)


TodoFilterDep = Annotated[TodoFilter, Depends(get_filter)]
