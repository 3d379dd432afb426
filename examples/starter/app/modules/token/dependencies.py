"""Authentication by access token."""

from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer

from app.core.exceptions import UnauthenticatedError
from app.core.runtime import runtime_of
from app.db.session import SessionDep
from app.jwt.access_tokens import AccessTokens
from app.jwt.settings import JwtSettings
from app.modules.token.service import TokenService
from app.security.principal import SCOPES, Principal
from app.security.settings import SecuritySettings

bearer = OAuth2PasswordBearer(
    tokenUrl="/api/v1/auth/token", refreshUrl="/api/v1/auth/refresh", scopes=SCOPES, auto_error=False
)


async def get_access_tokens(request: Request) -> AccessTokens:
    """Return the object that signs and verifies access tokens."""
    return runtime_of(request)[AccessTokens]


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
    runtime = runtime_of(request)
    grace = timedelta(seconds=runtime[JwtSettings].refresh_grace_seconds)
    return TokenService(session, access_tokens, grace, runtime[SecuritySettings].session_lifetime)


TokenServiceDep = Annotated[TokenService, Depends(get_service)]
