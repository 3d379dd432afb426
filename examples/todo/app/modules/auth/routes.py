"""Endpoints for the user's own account and sessions."""

from uuid import UUID

from fastapi import APIRouter, Response, status

from app.core.exceptions import PreconditionFailedError, UnauthenticatedError
from app.core.openapi import problems
from app.core.preconditions import IfMatch, set_etag
from app.modules.auth.dependencies import REFUSALS, AuthServiceDep, CurrentUser
from app.modules.auth.repository import UserGone
from app.modules.auth.schemas import MeRead, MeUpdate, SessionRead
from app.modules.auth.service import AuthService, SessionNotFound
from app.security.principal import Principal

router = APIRouter(tags=["auth"], responses=REFUSALS | problems(UnauthenticatedError, UserGone))


@router.get("/me", summary="Read your account")
async def get_me(user: CurrentUser, auth: AuthServiceDep, response: Response) -> MeRead:
    """Return your account and your scopes."""
    return await _me(user, auth, response)


@router.patch("/me", summary="Change your account", responses=problems(PreconditionFailedError))
async def update_me(
    user: CurrentUser, data: MeUpdate, auth: AuthServiceDep, if_match: IfMatch, response: Response
) -> MeRead:
    """Change the given fields. With `If-Match`, the request fails if the account has changed in the meantime."""
    await auth.update(user.user_id, data, if_match)
    return await _me(user, auth, response)


async def _me(principal: Principal, auth: AuthService, response: Response) -> MeRead:
    user = await auth.user(principal.user_id)
    set_etag(response, user)
    return MeRead(**user.model_dump(), scopes=sorted(principal.scopes))


@router.get("/sessions", summary="List your sessions")
async def list_sessions(user: CurrentUser, auth: AuthServiceDep) -> list[SessionRead]:
    """List your active sessions, most recently used first."""
    sessions = await auth.sessions(user.user_id)
    return [SessionRead(**login.model_dump(), current=login.id == user.session_id) for login in sessions]


@router.delete(
    "/sessions/{session_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="End a session",
    responses=problems(SessionNotFound),
)
async def end_session(session_id: UUID, user: CurrentUser, auth: AuthServiceDep) -> None:
    """End one of your sessions, which signs out the device that uses it."""
    await auth.revoke_session(user.user_id, session_id)


@router.delete("/sessions", status_code=status.HTTP_204_NO_CONTENT, summary="End all your sessions")
async def end_all_sessions(user: CurrentUser, auth: AuthServiceDep) -> None:
    """Sign out on all devices, including this one."""
    await auth.revoke_all_sessions(user.user_id)
