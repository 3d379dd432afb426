"""Authentication by access token."""

from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer

from app.core.exceptions import UnauthenticatedError
from app.db.session import SessionDep
from app.jwt.access_tokens import AccessTokens
from app.modules.token.service import TokenService
from app.security.principal import SCOPES, Principal

bearer = OAuth2PasswordBearer(
    tokenUrl="/api/v1/auth/token", refreshUrl="/api/v1/auth/refresh", scopes=SCOPES, auto_error=False
)


async def get_access_tokens(request: Request) -> AccessTokens:
    """Return the object that signs and verifies access tokens."""
    access_tokens: AccessTokens = request.app.state.access_tokens
    return access_tokens


AccessTokensDep = Annotated[AccessTokens, Depends(get_access_tokens)]


async def get_principal(token: Annotated[str | None, Depends(bearer)], access_tokens: AccessTokensDep) -> Principal:
    """Return the principal of the access token. Only its signature is checked; there is no database query.

    Raises:
        UnauthenticatedError: If there is no valid access token.
    """
    if token is None:
        raise UnauthenticatedError
    return access_tokens.verify(token)


async def get_service(request: Request, session: SessionDep, access_tokens: AccessTokensDep) -> TokenService:
    """Return a service that uses the transaction of the request."""
    return TokenService(session, access_tokens, timedelta(seconds=request.app.state.jwt.refresh_grace_seconds))


TokenServiceDep = Annotated[TokenService, Depends(get_service)]
