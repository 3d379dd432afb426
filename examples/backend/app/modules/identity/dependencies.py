"""Authentication by session cookie (browsers) or access token (other clients)."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from app.core.exceptions import ForbiddenError, UnauthenticatedError
from app.core.runtime import runtime_of
from app.db.session import DatabaseDep, open_read_session
from app.modules.identity.service import IdentityService
from app.oidc.bearer import AccessToken, read_access_token
from app.oidc.cookies import CSRF_HEADER, SESSION, has_csrf_token, read_cookie
from app.oidc.login import Login
from app.oidc.providers import Providers
from app.security.audit import audit
from app.security.principal import SAFE_METHODS, Principal
from app.security.settings import SecuritySettings

session_cookie = APIKeyCookie(
    name=SESSION,
    scheme_name="BrowserSession",
    description=f"Session cookie of a browser. Requests other than GET also need the header `{CSRF_HEADER}`.",
    auto_error=False,
)
# Checked by `has_csrf_token`; declared here so that the interactive documentation can send it.
csrf_header = APIKeyHeader(
    name=CSRF_HEADER,
    scheme_name="CsrfToken",
    description="CSRF token for the session cookie, as returned by `GET /api/v1/auth/session`.",
    auto_error=False,
)
access_token = HTTPBearer(
    scheme_name="AccessToken",
    bearerFormat="JWT",
    description="Access token of a configured identity provider, issued for this API.",
    auto_error=False,
)


class CsrfRefused(ForbiddenError):
    """The request has a session cookie but no valid CSRF token."""

    message = f"The header {CSRF_HEADER} is missing or invalid. GET /api/v1/auth/session returns the token."


async def get_providers(request: Request) -> Providers:
    """Return the configured identity providers."""
    return runtime_of(request)[Providers]


ProvidersDep = Annotated[Providers, Depends(get_providers)]


async def get_security(request: Request) -> SecuritySettings:
    """Return the sign-in settings."""
    return runtime_of(request)[SecuritySettings]


SecuritySettingsDep = Annotated[SecuritySettings, Depends(get_security)]


async def get_login(
    provider: str, request: Request, database: DatabaseDep, providers: ProvidersDep, security: SecuritySettingsDep
) -> Login:
    """Return the sign-in flow for the provider in the path.

    Raises:
        ProviderNotFound: If no provider has this name.
    """
    chosen = providers.get(provider)
    service = providers.settings.public_url or security.link("")
    path = request.app.url_path_for("finish_login", provider=provider)
    return Login(database, chosen, f"{service.rstrip('/')}{path}")


LoginDep = Annotated[Login, Depends(get_login)]


async def get_access_token(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(access_token)]
) -> AccessToken | None:
    """Verify and return the access token of the request, if there is one.

    Raises:
        InvalidToken: If the token is not valid for this API.
        ProviderUnavailable: If the provider's signing keys cannot be fetched.
    """
    if credentials is None:
        return None
    return await read_access_token(await get_providers(request), credentials.credentials)


AccessTokenDep = Annotated[AccessToken | None, Depends(get_access_token)]


async def get_principal(
    request: Request,
    database: DatabaseDep,
    token: AccessTokenDep,
    _cookie: Annotated[str | None, Depends(session_cookie)],
    _csrf: Annotated[str | None, Depends(csrf_header)],
) -> Principal:
    """Authenticate the request.

    This uses a separate short transaction, so that the request's transaction never waits for a provider.

    Raises:
        UnauthenticatedError: If there is no valid access token or session cookie.
        AccountNeeded: If the owner of the access token is not a user yet.
        CsrfRefused: If the session cookie comes without a valid CSRF token, so the request may be forged.
    """
    if token is not None:
        async with open_read_session(database) as session:
            return await IdentityService(session).authenticate_token(token)
    secret = read_cookie(request, SESSION)
    if secret is None:
        raise UnauthenticatedError
    async with open_read_session(database) as session:
        principal = await IdentityService(session).authenticate_cookie(secret)
    if request.method not in SAFE_METHODS and not has_csrf_token(request, secret):
        audit("csrf_check", user_id=principal.user_id, outcome="refused")
        raise CsrfRefused
    return principal
