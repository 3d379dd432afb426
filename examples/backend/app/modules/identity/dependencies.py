"""Who asks: a browser with its cookie, or a program with an access token."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from app.core.exceptions import ForbiddenError, UnauthenticatedError
from app.db.session import DatabaseDep, brief_read
from app.modules.identity.service import IdentityService
from app.oidc.bearer import AccessToken, read_access_token
from app.oidc.cookies import CSRF_HEADER, SESSION, has_csrf_token, read_cookie
from app.oidc.login import Login
from app.oidc.providers import Providers
from app.security.audit import audit
from app.security.principal import Principal
from app.security.settings import SecuritySettings

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

session_cookie = APIKeyCookie(
    name=SESSION,
    scheme_name="BrowserSession",
    description=f"Of a browser that has signed in. Anything but GET needs the header `{CSRF_HEADER}` too.",
    auto_error=False,
)
# Looked at by `has_csrf_token`; it stands here so that the documentation's page can send it.
csrf_header = APIKeyHeader(
    name=CSRF_HEADER,
    scheme_name="CsrfToken",
    description="Goes with the cookie. `GET /api/v1/auth/session` tells it.",
    auto_error=False,
)
access_token = HTTPBearer(
    scheme_name="AccessToken",
    bearerFormat="JWT",
    description="Of one of the identity providers, made out to this API.",
    auto_error=False,
)


class CsrfRefused(ForbiddenError):
    """The request has the cookie, but nothing that shows that our own application has sent it."""

    message = f"The header {CSRF_HEADER} is missing or wrong. GET /api/v1/auth/session tells it."


async def get_providers(request: Request) -> Providers:
    """Return the identity providers that the app knows."""
    providers: Providers = request.app.state.oidc
    return providers


ProvidersDep = Annotated[Providers, Depends(get_providers)]


async def get_security(request: Request) -> SecuritySettings:
    """Return the settings of sign-in."""
    settings: SecuritySettings = request.app.state.security
    return settings


SecurityDep = Annotated[SecuritySettings, Depends(get_security)]


async def get_login(
    provider: str, request: Request, database: DatabaseDep, providers: ProvidersDep, security: SecurityDep
) -> Login:
    """Prepare to sign in with the provider in the path.

    Raises:
        ProviderNotFound: If there is none with this name.
    """
    chosen = providers.named(provider)
    service = providers.settings.public_url or security.link("")
    path = request.app.url_path_for("finish_login", provider=provider)
    return Login(database, chosen, f"{service.rstrip('/')}{path}")


LoginDep = Annotated[Login, Depends(get_login)]


async def get_access_token(
    request: Request, shown: Annotated[HTTPAuthorizationCredentials | None, Depends(access_token)]
) -> AccessToken | None:
    """Read the access token of the request, if there is one.

    Raises:
        InvalidToken: If it is not good here.
        ProviderUnavailable: If that cannot be found out.
    """
    return None if shown is None else await read_access_token(await get_providers(request), shown.credentials)


AccessTokenDep = Annotated[AccessToken | None, Depends(get_access_token)]


async def get_principal(
    request: Request,
    database: DatabaseDep,
    token: AccessTokenDep,
    _cookie: Annotated[str | None, Depends(session_cookie)],
    _csrf: Annotated[str | None, Depends(csrf_header)],
) -> Principal:
    """Tell who asks. It is looked up before the transaction of the request, which then waits for no provider.

    Raises:
        UnauthenticatedError: If there is neither a token nor the cookie of a session, or it is not valid.
        AccountNeeded: If the owner of the token has no account.
        CsrfRefused: If it is a browser whom another site may have told to ask.
    """
    if token is not None:
        async with brief_read(database) as session:
            return await IdentityService(session).by_token(token)
    secret = read_cookie(request, SESSION)
    if secret is None:
        raise UnauthenticatedError
    async with brief_read(database) as session:
        principal = await IdentityService(session).by_cookie(secret)
    if request.method not in SAFE_METHODS and not has_csrf_token(request, secret):
        audit("csrf", user_id=principal.user_id, outcome="refused")
        raise CsrfRefused
    return principal
