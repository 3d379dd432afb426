"""Signing in and out over HTTP.

Browsers come to `login` and `callback` on their way. Whatever happens there, they end at the
application: a page of JSON is of no use to people, so an error arrives as `?error=code`.
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
from app.modules.identity.dependencies import AccessTokenDep, LoginDep, ProvidersDep, SecurityDep
from app.modules.identity.schemas import BrowserSessionRead, LogoutRead, ProviderRead, ReturnTo
from app.modules.identity.service import EmailNotVerified, IdentityService
from app.modules.user.schemas import UserRead
from app.modules.user.service import UserService
from app.oidc import cookies
from app.oidc.login import LOGIN_LASTS, Answer, Confirmed, Login
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
    """A program with an access token cannot do this."""

    message = "This is only for a browser that has signed in."


async def get_session_id(user: CurrentUser) -> UUID:
    """Let only browsers through.

    Raises:
        SessionNeeded: If an access token was shown.
    """
    if user.session_id is None:
        raise SessionNeeded
    return user.session_id


SessionId = Annotated[UUID, Depends(get_session_id)]


@router.get("/providers", summary="List the identity providers")
async def list_providers(providers: ProvidersDep) -> list[ProviderRead]:
    """List where people may sign in: send the browser to `/api/v1/auth/login/{name}`."""
    known = [provider.settings for provider in providers]
    return [ProviderRead(name=provider.name, label=provider.label or provider.name) for provider in known]


@router.get(
    "/login/{provider}",
    status_code=status.HTTP_302_FOUND,
    response_class=RedirectResponse,
    summary="Go to sign in",
    responses=problems(ProviderNotFound, TooManyRequestsError),
)
async def begin_login(
    login: LoginDep,
    request: Request,
    security: SecurityDep,
    limits: RateLimitsDep,
    device: DeviceDep,
    return_to: Annotated[ReturnTo, Query(description="The page of the application to end at.")] = "/",
) -> RedirectResponse:
    """Send the browser to the provider."""
    await limits.count("login", device)
    browser = cookies.read_cookie(request, cookies.LOGIN) or new_secret()  # It may have begun in two tabs.
    try:
        response = _redirect(await login.start(browser, return_to))
    except ProviderUnavailable as error:
        return _refuse(security, login, error)
    cookies.set_cookie(request, response, cookies.LOGIN, browser, LOGIN_LASTS)
    return response


@router.get(
    "/callback/{provider}",
    status_code=status.HTTP_302_FOUND,
    response_class=RedirectResponse,
    summary="Come back from signing in",
    responses=problems(ProviderNotFound, TooManyRequestsError),
)
async def finish_login(
    login: LoginDep,
    request: Request,
    database: DatabaseDep,
    security: SecurityDep,
    limits: RateLimitsDep,
    device: DeviceDep,
    state: Annotated[str, Query(max_length=200)],
    code: FromProvider = None,
    error: FromProvider = None,
    iss: FromProvider = None,
) -> RedirectResponse:
    """Begin a session for whoever the provider says it is. The first time, an account is opened."""
    await limits.count("login_callback", device)
    try:
        browser = cookies.read_cookie(request, cookies.LOGIN) or ""
        confirmed = await login.finish(browser, Answer(state, code, error, iss))
        try:
            secret = await _begin_session(database, confirmed, device)
        except ConflictError:  # They have come twice at once; now the account is there.
            secret = await _begin_session(database, confirmed, device)
    except DomainError as refused:
        return _refuse(security, login, refused)
    response = _redirect(security.link(confirmed.return_to))
    cookies.set_cookie(request, response, cookies.SESSION, secret, timedelta(days=security.session_days))
    cookies.delete_cookie(request, response, cookies.LOGIN)
    return response


async def _begin_session(database: Database, confirmed: Confirmed, device: Device) -> str:
    async with transaction(database.writers) as session:
        return await IdentityService(session).sign_in(confirmed, device)


def _refuse(security: SecuritySettings, login: Login, error: DomainError) -> RedirectResponse:
    audit("login", outcome=error.code, provider=login.provider.settings.name)
    return _redirect(security.link(f"/?error={error.code}"))


def _redirect(url: str) -> RedirectResponse:
    return RedirectResponse(url, status.HTTP_302_FOUND, {"Cache-Control": "no-store"})


@router.get("/session", summary="Read the session", responses=REFUSALS | problems(SessionNeeded))
async def read_session(
    user: CurrentUser, _: SessionId, session: SessionDep, request: Request, response: Response
) -> BrowserSessionRead:
    """Tell who has signed in with this browser, and what its requests must carry."""
    response.headers["Cache-Control"] = "no-store"
    secret = cookies.read_cookie(request, cookies.SESSION) or ""
    account = await UserService(session).get(user.user_id)
    return BrowserSessionRead(user=UserRead.model_validate(account), csrf_token=cookies.csrf_token(secret))


@router.post("/logout", summary="Sign out", responses=REFUSALS | problems(SessionNeeded))
async def logout(
    user: CurrentUser,
    session_id: SessionId,
    request: Request,
    response: Response,
    database: DatabaseDep,
    providers: ProvidersDep,
    security: SecurityDep,
) -> LogoutRead:
    """Sign out in this browser. To sign out at the provider too, send the browser to `logout_url`."""
    async with transaction(database.writers) as session:
        cookie = await IdentityService(session).sign_out(user.user_id, session_id)
    cookies.delete_cookie(request, response, cookies.SESSION)
    try:
        url = await providers.named(cookie.provider).logout_url(cookie.id_token, security.link("/"))
    except (ProviderNotFound, ProviderUnavailable):
        url = None  # What matters is that the session is over.
    return LogoutRead(logout_url=url)


@router.delete(
    "/me",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Close your account",
    responses=REFUSALS | problems(SessionNeeded),
)
async def close_account(
    user: CurrentUser, _: SessionId, session: SessionDep, request: Request, response: Response
) -> None:
    """Close your account and delete what belongs to it."""
    await IdentityService(session).close_account(user.user_id)
    cookies.delete_cookie(request, response, cookies.SESSION)


@router.post(
    "/accounts",
    status_code=status.HTTP_201_CREATED,
    summary="Open an account with an access token",
    responses=problems(UnauthenticatedError, EmailNotVerified, ConflictError),
)
async def open_account(token: AccessTokenDep, database: DatabaseDep) -> UserRead:
    """Open an account for the owner of the token, or find the one there is."""
    if token is None:
        raise UnauthenticatedError
    person = await token.person()
    async with transaction(database.writers) as session:
        return UserRead.model_validate(await IdentityService(session).account(person))
