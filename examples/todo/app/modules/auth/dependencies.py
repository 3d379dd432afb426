"""Authentication and authorization: `user: CurrentUser`, or `dependencies=SIGNED_IN` for a whole router."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Security
from fastapi.security import SecurityScopes

from app.core.exceptions import ForbiddenError, UnauthenticatedError
from app.core.openapi import problems
from app.db.base import utc_now
from app.db.session import SessionDep
from app.modules.auth.service import AuthService
from app.modules.token.dependencies import get_principal
from app.security.principal import SAFE_METHODS, Principal, Scope

MAX_STREAM_DURATION = timedelta(minutes=15)


class NotAllowed(ForbiddenError):
    """The user is authenticated but lacks a required scope."""

    message = "Your account or access token does not have the required scope."


async def authorize(
    required: SecurityScopes, request: Request, principal: Annotated[Principal, Depends(get_principal)]
) -> Principal:
    """Require authentication and the scopes that the route declares.

    In addition, safe methods require `read` and all others require `write`.

    Raises:
        UnauthenticatedError: If the request is not authenticated.
        NotAllowed: If a required scope is missing.
    """
    by_method = Scope.READ if request.method in SAFE_METHODS else Scope.WRITE
    if not principal.scopes.issuperset({by_method, *required.scopes}):
        raise NotAllowed
    # Idempotency keys are scoped to the principal. An endless response ends at `valid_until`, so that a client whose
    # access was revoked cannot listen indefinitely (app/core/shutdown.py).
    valid_until = min(principal.expires_at, utc_now() + MAX_STREAM_DURATION)
    request.scope.update(principal=str(principal.user_id), valid_until=valid_until)
    return principal


async def get_service(session: SessionDep) -> AuthService:
    """Return a service that uses the transaction of the request."""
    return AuthService(session)


AuthServiceDep = Annotated[AuthService, Depends(get_service)]
# Any valid token or session, regardless of its scopes. Use it only for endpoints that end the session.
AnyPrincipal = Annotated[Principal, Depends(get_principal)]
CurrentUser = Annotated[Principal, Security(authorize)]
CurrentAdmin = Annotated[Principal, Security(authorize, scopes=[Scope.ADMIN])]

# For whole routers, in app/api.py.
SIGNED_IN = [Security(authorize)]
ADMINISTRATORS = [Security(authorize, scopes=[Scope.ADMIN])]
REFUSALS = problems(UnauthenticatedError, NotAllowed)


async def get_owner(user: CurrentUser) -> UUID:
    """Return the current user: users can only access their own data."""
    return user.user_id


OwnerId = Annotated[UUID, Depends(get_owner)]
