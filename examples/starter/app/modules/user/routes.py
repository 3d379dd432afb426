"""User endpoints."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response, status

from app.core.exceptions import PreconditionFailedError
from app.core.openapi import problems
from app.core.pagination import InvalidCursor, Page, PageDep, set_next_link
from app.core.preconditions import IfMatch, set_etag
from app.db.idempotency import IdempotencyDep, IdempotencyKeyReused
from app.db.session import SessionDep
from app.modules.user.repository import EmailTaken
from app.modules.user.schemas import Email, UserCreate, UserOrder, UserRead, UserUpdate
from app.modules.user.service import UserNotFound, UserService

router = APIRouter(tags=["user"])


async def get_service(session: SessionDep) -> UserService:
    """Return a service that uses the transaction of the request."""
    return UserService(session)


UserServiceDep = Annotated[UserService, Depends(get_service)]


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    summary="Create a user",
    responses=problems(EmailTaken, IdempotencyKeyReused),
)
async def register_user(data: UserCreate, users: UserServiceDep, idempotency: IdempotencyDep) -> UserRead:
    """Create a user. With an `Idempotency-Key` header, the request can be repeated safely."""
    await idempotency.claim(data)
    user = UserRead.model_validate(await users.register(data))
    return idempotency.created(user)


@router.get("", summary="List users", responses=problems(InvalidCursor))
async def list_users(
    users: UserServiceDep,
    page: PageDep,
    request: Request,
    response: Response,
    email: Annotated[Email | None, Query(description="Return only the user with this email address.")] = None,
    order: Annotated[UserOrder, Query(description="Sort order.")] = UserOrder.CREATED_AT,
) -> Page[UserRead]:
    """List users page by page. Follow `next` or the `Link` header to the next page."""
    rows, cursor = await users.page(email, order, page)
    set_next_link(request, response, cursor)
    return Page(items=[UserRead.model_validate(row) for row in rows], next=cursor)


@router.get("/{user_id}", summary="Read a user", responses=problems(UserNotFound))
async def get_user(user_id: UUID, users: UserServiceDep, response: Response) -> UserRead:
    """Return one user. Send its `ETag` as `If-Match` to detect concurrent changes."""
    user = await users.get(user_id)
    set_etag(response, user)
    return UserRead.model_validate(user)


@router.patch(
    "/{user_id}", summary="Change a user", responses=problems(UserNotFound, EmailTaken, PreconditionFailedError)
)
async def update_user(
    user_id: UUID, data: UserUpdate, users: UserServiceDep, if_match: IfMatch, response: Response
) -> UserRead:
    """Change the given fields. With `If-Match`, the request fails if the user has changed in the meantime."""
    user = await users.update(user_id, data, if_match)
    set_etag(response, user)
    return UserRead.model_validate(user)


@router.delete(
    "/{user_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Delete a user",
    responses=problems(UserNotFound, PreconditionFailedError),
)
async def delete_user(user_id: UUID, users: UserServiceDep, if_match: IfMatch) -> None:
    """Delete a user and all their data."""
    await users.delete(user_id, if_match)
