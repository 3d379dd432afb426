"""To-do endpoints."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response, status

from app.core.exceptions import PreconditionFailedError
from app.core.openapi import problems
from app.core.pagination import InvalidCursor, Page, PageDep, set_next_link
from app.core.preconditions import IfMatch, set_etag
from app.db.idempotency import IdempotencyDep, IdempotencyKeyReused
from app.db.session import SessionDep
from app.modules.todo.dependencies import OwnerId, TodoFilterDep
from app.modules.todo.repository import OwnerGone
from app.modules.todo.schemas import TodoCreate, TodoOrder, TodoRead, TodoUpdate
from app.modules.todo.service import IllegalTransition, TodoNotFound, TodoService

router = APIRouter(tags=["todo"])


async def get_service(session: SessionDep, owner_id: OwnerId) -> TodoService:
    """Return a service that uses the transaction and the owner of the request."""
    return TodoService(session, owner_id)


TodoServiceDep = Annotated[TodoService, Depends(get_service)]


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    summary="Create a to-do",
    responses=problems(OwnerGone, IdempotencyKeyReused),
)
async def create_todo(data: TodoCreate, todos: TodoServiceDep, idempotency: IdempotencyDep) -> TodoRead:
    """Create a to-do. With an `Idempotency-Key` header, the request can be repeated safely."""
    await idempotency.claim(data)
    todo = TodoRead.model_validate(await todos.create(data))
    return idempotency.created(todo)


@router.get("", summary="List to-dos", responses=problems(InvalidCursor))
async def list_todos(
    todos: TodoServiceDep,
    page: PageDep,
    filters: TodoFilterDep,
    request: Request,
    response: Response,
    order: Annotated[
        TodoOrder, Query(description="Sort order. Sorting by due date omits to-dos without one.")
    ] = TodoOrder.CREATED_AT,
) -> Page[TodoRead]:
    """List to-dos page by page. Follow `next` or the `Link` header to the next page."""
    rows, cursor = await todos.page(filters, order, page)
    set_next_link(request, response, cursor)
    return Page[TodoRead].model_validate({"items": rows, "next": cursor})


@router.get("/{todo_id}", summary="Read a to-do", responses=problems(TodoNotFound))
async def get_todo(todo_id: UUID, todos: TodoServiceDep, response: Response) -> TodoRead:
    """Return one to-do. Send its `ETag` as `If-Match` to detect concurrent changes."""
    todo = await todos.get(todo_id)
    set_etag(response, todo)
    return TodoRead.model_validate(todo)


@router.patch(
    "/{todo_id}",
    summary="Change a to-do",
    responses=problems(TodoNotFound, IllegalTransition, PreconditionFailedError),
)
async def update_todo(
    todo_id: UUID, data: TodoUpdate, todos: TodoServiceDep, if_match: IfMatch, response: Response
) -> TodoRead:
    """Change the given fields. With `If-Match`, the request fails if the to-do has changed in the meantime."""
    todo = await todos.update(todo_id, data, if_match)
    set_etag(response, todo)
    return TodoRead.model_validate(todo)


@router.delete(
    "/{todo_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Delete a to-do",
    responses=problems(TodoNotFound, PreconditionFailedError),
)
async def delete_todo(todo_id: UUID, todos: TodoServiceDep, if_match: IfMatch) -> None:
    """Delete a to-do."""
    await todos.delete(todo_id, if_match)
