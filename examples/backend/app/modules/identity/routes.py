"""Sign-in and sign-out endpoints.

`login` and `callback` are visited by browsers. Both always redirect back to the application, and errors
are passed as `?error=code`, because a JSON document is useless as a page.
"""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response, status
from fastapi.responses import RedirectResponse

from app.core.exceptions import ConflictError, DomainError, ForbiddenError, TooManyRequestsError, UnauthenticatedError
from app.core.openapi import problems
from app.db.session import Database, DatabaseDep, SessionDep, transaction
from app.modules.auth.dependencies import REFUSALS, CurrentUser
from app.modules.auth.service import AuthService
from app.modules.identity.dependencies import AccessTokenDep, LoginDep, ProvidersDep, SecuritySettingsDep
from app.modules.identity.schemas import BrowserSessionRead, LogoutRead, ProviderRead, ReturnTo
from app.modules.identity.service import EmailNotVerified, IdentityService
from app.modules.user.schemas import UserRead
from app.oidc import cookies
from app.oidc.login import LOGIN_LIFETIME, CallbackParams, ConfirmedLogin, Login
from app.oidc.provider import ProviderUnavailable
from app.oidc.providers import ProviderNotFound
from app.security.audit import audit
from app.security.principal import Device
from app.security.rate_limits import DeviceDep, RateLimitsDep
from app.security.secrets import new_secret
from app.security.settings import SecuritySettings

router = APIRouter(tags=["auth"])

FromProvider = Annotated[str | None, Query(max_length=2000)]


class SessionNeeded(ForbiddenError):
    """The endpoint requires a browser session, but the request uses an access token."""

    message = "This endpoint requires a browser session."


async def get_session_id(user: CurrentUser) -> UUID:
    """Return the session id of a browser; reject access tokens.

    Raises:
        SessionNeeded: If the request uses an access token.
    """
    if user.session_id is None:
        raise SessionNeeded
    return user.session_id


SessionId = Annotated[UUID, Depends(get_session_id)]


@router.get("/providers", summary="List the identity providers")
async def list_providers(providers: ProvidersDep) -> list[ProviderRead]:
    """List the identity providers. To sign in, send the browser to `/api/v1/auth/login/{name}`."""
    known = [provider.settings for provider in providers]
    return [ProviderRead(name=provider.name, label=provider.label or provider.name) for provider in known]


@router.get(
    "/login/{provider}",
    status_code=status.HTTP_302_FOUND,
    response_class=RedirectResponse,
    summary="Start signing in",
    responses=problems(ProviderNotFound, TooManyRequestsError),
)
async def begin_login(
    login: LoginDep,
    request: Request,
    security: SecuritySettingsDep,
    limits: RateLimitsDep,
    device: DeviceDep,
    return_to: Annotated[ReturnTo, Query(description="Path in the application to return to.")] = "/",
) -> RedirectResponse:
    """Redirect the browser to the identity provider."""
    await limits.count("login", device)
    browser = cookies.read_cookie(request, cookies.LOGIN) or new_secret()  # Two tabs may sign in.
    try:
        response = _redirect(await login.start(browser, return_to))
    except ProviderUnavailable as error:
        return _redirect_with_error(security, login, error)
    cookies.set_cookie(request, response, cookies.LOGIN, browser, LOGIN_LIFETIME)
    return response


@router.get(
    "/callback/{provider}",
    status_code=status.HTTP_302_FOUND,
    response_class=RedirectResponse,
    summary="Finish signing in",
    responses=problems(ProviderNotFound, TooManyRequestsError),
)
async def finish_login(
    login: LoginDep,
    request: Request,
    database: DatabaseDep,
    security: SecuritySettingsDep,
    limits: RateLimitsDep,
    device: DeviceDep,
    state: Annotated[str, Query(max_length=200)],
    code: FromProvider = None,
    error: FromProvider = None,
    iss: FromProvider = None,
) -> RedirectResponse:
    """Start a session for the user that the provider confirms. On first sign-in, an account is created."""
    await limits.count("login_callback", device)
    try:
        browser = cookies.read_cookie(request, cookies.LOGIN) or ""
        confirmed = await login.finish(browser, CallbackParams(state, code, error, iss))
        try:
            secret = await _start_session(database, confirmed, device, security.session_lifetime)
        except ConflictError:  # A concurrent first sign-in has created the account.
            secret = await _start_session(database, confirmed, device, security.session_lifetime)
    except DomainError as refused:
        return _redirect_with_error(security, login, refused)
    for action in ("login", "login_callback"):
        await limits.undo_count(action, device)
    response = _redirect(security.link(confirmed.return_to))
    cookies.set_cookie(request, response, cookies.SESSION, secret, security.session_lifetime)
    cookies.delete_cookie(request, response, cookies.LOGIN)
    return response


async def _start_session(database: Database, confirmed: ConfirmedLogin, device: Device, lifetime: timedelta) -> str:
    async with transaction(database.write) as session:
        return await IdentityService(session).sign_in(confirmed, device, lifetime)


def _redirect_with_error(security: SecuritySettings, login: Login, error: DomainError) -> RedirectResponse:
    audit("login", outcome=error.code, provider=login.provider.settings.name)
    return _redirect(security.link(f"/?error={error.code}"))


def _redirect(url: str) -> RedirectResponse:
    return RedirectResponse(url, status.HTTP_302_FOUND, {"Cache-Control": "no-store"})


@router.get("/session", summary="Read the session", responses=REFUSALS | problems(SessionNeeded))
async def read_session(
    user: CurrentUser, _: SessionId, session: SessionDep, request: Request, response: Response
) -> BrowserSessionRead:
    """Return the user signed in with this browser and the CSRF token for its requests."""
    response.headers["Cache-Control"] = "no-store"
    secret = cookies.read_cookie(request, cookies.SESSION) or ""
    account = await AuthService(session).user(user.user_id)
    return BrowserSessionRead(user=UserRead.model_validate(account), csrf_token=cookies.csrf_token(secret))


@router.post("/logout", summary="Sign out", responses=REFUSALS | problems(SessionNeeded))
async def logout(
    user: CurrentUser,
    session_id: SessionId,
    request: Request,
    response: Response,
    database: DatabaseDep,
    providers: ProvidersDep,
    security: SecuritySettingsDep,
) -> LogoutRead:
    """Sign out in this browser. To also sign out at the provider, send the browser to `logout_url`."""
    async with transaction(database.write) as session:
        cookie = await IdentityService(session).sign_out(user.user_id, session_id)
    cookies.delete_cookie(request, response, cookies.SESSION)
    try:
        url = await providers.get(cookie.provider).logout_url(cookie.id_token, security.link("/"))
    except (ProviderNotFound, ProviderUnavailable):
        url = None  # The local session has ended, which is what matters.
    return LogoutRead(logout_url=url)


@router.delete(
    "/me",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Delete your account",
    responses=REFUSALS | problems(SessionNeeded),
)
async def close_account(
    user: CurrentUser, _: SessionId, session: SessionDep, request: Request, response: Response
) -> None:
    """Delete your account and all its data."""
    await IdentityService(session).delete_account(user.user_id)
    cookies.delete_cookie(request, response, cookies.SESSION)


@router.post(
    "/accounts",
    status_code=status.HTTP_201_CREATED,
    summary="Create an account with an access token",
    responses=problems(UnauthenticatedError, EmailNotVerified, ConflictError),
)
async def open_account(token: AccessTokenDep, database: DatabaseDep) -> UserRead:
    """Create an account for the owner of the access token, or return the existing one."""
    if token is None:
        raise UnauthenticatedError
    provider_user = await token.fetch_user()
    async with transaction(database.write) as session:
        return UserRead.model_validate(await IdentityService(session).get_or_create_account(provider_user))
