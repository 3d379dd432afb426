"""Who asks, for routes of all modules: `user: CurrentUser`, `admin: Administrator`."""

from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import SecurityScopes

from app.core.exceptions import ForbiddenError, UnauthenticatedError
from app.core.openapi import problems
from app.db.base import utc_now
from app.db.session import SessionDep
from app.modules.auth.service import AuthService
from app.modules.token.dependencies import get_principal
from app.security.principal import Principal, Scope

FEEDS_LAST = timedelta(minutes=15)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class NotAllowed(ForbiddenError):
    """Signed in, but not for this."""

    message = "Your account or your token does not allow this."


async def authorize(
    required: SecurityScopes, request: Request, principal: Annotated[Principal, Depends(get_principal)]
) -> Principal:
    """Let through whoever is signed in and has the scopes that the route names.

    Whatever the route names, reading needs `read` and anything else needs `write`.

    Raises:
        UnauthenticatedError: If nobody is signed in.
        NotAllowed: If a scope is missing.
    """
    by_method = Scope.READ if request.method in SAFE_METHODS else Scope.WRITE
    if not principal.scopes.issuperset({by_method, *required.scopes}):
        raise NotAllowed
    # Idempotency keys are everybody's own; a live feed ends in time to ask again who listens (app/core/shutdown.py).
    lasts = min(principal.expires_at, utc_now() + FEEDS_LAST)
    request.scope.update(principal=str(principal.user_id), valid_until=lasts)
    return principal


async def get_service(session: SessionDep) -> AuthService:
    """Give the service this request's transaction."""
    return AuthService(session)


AuthServiceDep = Annotated[AuthService, Depends(get_service)]
# Whoever shows a token or a session, whatever it allows: enough to end it, and for nothing else.
Bearer = Annotated[Principal, Depends(get_principal)]
CurrentUser = Annotated[Principal, Security(authorize)]
Administrator = Annotated[Principal, Security(authorize, scopes=[Scope.ADMIN])]

# For whole routers, in app/api.py.
SIGNED_IN = [Security(authorize)]
ADMINISTRATORS = [Security(authorize, scopes=[Scope.ADMIN])]
REFUSALS = problems(UnauthenticatedError, NotAllowed)
