"""Whose to-dos a request is about, and which of them."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query

from app.modules.todo.models import TodoStatus
from app.modules.todo.schemas import Moment, TodoFilter

# isort: split
from app.modules.auth.dependencies import CurrentUser


async def get_owner(user: CurrentUser) -> UUID:
    """Everybody has their own to-dos, and sees no others."""
    return user.user_id


OwnerId = Annotated[UUID, Depends(get_owner)]


async def get_filter(
    status: Annotated[TodoStatus | None, Query(description="Only those that have got this far.")] = None,
    due_from: Annotated[Moment | None, Query(description="Only those due then or later.")] = None,
    due_before: Annotated[Moment | None, Query(description="Only those due before.")] = None,
) -> TodoFilter:
    """Read the filter of a list."""
    return TodoFilter(status, due_from, due_before)


TodoFilterDep = Annotated[TodoFilter, Depends(get_filter)]
