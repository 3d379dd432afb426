"""The sign-in flow of a browser: redirect to the provider, and callback.

The state is stored as a row, which is deleted by the callback. A sign-in can therefore be finished
only once, and only in the browser that started it. No transaction is open during requests to the
provider.
"""

from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlmodel import Field, col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.exceptions import ForbiddenError, UnauthenticatedError
from app.db.base import Expiring, utc_now
from app.db.session import Database, transaction
from app.oidc.claims import ProviderUser
from app.oidc.provider import LoginSecrets, Provider
from app.security.secrets import digest, new_secret

logger = structlog.get_logger(__name__)

LOGIN_LIFETIME = timedelta(minutes=10)


class LoginExpired(UnauthenticatedError):
    """The sign-in was not started in this browser, has expired, or was already finished."""

    message = "No sign-in in progress in this browser. Start again."


class LoginCancelled(ForbiddenError):
    """The user cancelled the sign-in at the provider, or the provider rejected it."""

    message = "The sign-in was cancelled."


class LoginAttempt(Expiring, table=True):
    """A sign-in in progress."""

    __tablename__ = "login_attempt"

    state: str = Field(primary_key=True, max_length=64)  # digest
    browser: str = Field(max_length=64)  # digest
    provider: str = Field(max_length=32)
    nonce: str = Field(max_length=64)
    code_verifier: str = Field(max_length=64)
    return_to: str = Field(max_length=1000)


@dataclass(frozen=True)
class CallbackParams:
    """Query parameters of the callback."""

    state: str
    code: str | None
    error: str | None
    issuer: str | None


@dataclass(frozen=True)
class ConfirmedLogin:
    """A successful sign-in at the provider."""

    provider: str
    user: ProviderUser
    id_token: str
    return_to: str


class Login:
    """Sign-in with one provider. `redirect_uri` is the callback URL of this service."""

    def __init__(self, database: Database, provider: Provider, redirect_uri: str) -> None:
        self.database = database
        self.provider = provider
        self.redirect_uri = redirect_uri

    async def start(self, browser: str, return_to: str) -> str:
        """Start a sign-in, and return the URL of the provider to redirect to.

        The secret `browser` identifies the browser in the callback. `return_to` is a page of the frontend.

        Raises:
            ProviderUnavailable: If the provider is unavailable.
        """
        secrets, state = LoginSecrets(self.redirect_uri, nonce=new_secret(), code_verifier=new_secret()), new_secret()
        url = await self.provider.login_url(secrets, state)
        attempt = LoginAttempt(
            state=digest(state),
            browser=digest(browser),
            provider=self.provider.settings.name,
            nonce=secrets.nonce,
            code_verifier=secrets.code_verifier,
            return_to=return_to,
            expires_at=utc_now() + LOGIN_LIFETIME,
        )
        async with transaction(self.database.write) as session:
            session.add(attempt)
        return url

    async def finish(self, browser: str, params: CallbackParams) -> ConfirmedLogin:
        """Finish a sign-in, and return the user.

        Raises:
            LoginExpired: If no such sign-in is in progress in this browser.
            LoginCancelled: If the sign-in was cancelled at the provider.
            LoginRefused: If the provider did not confirm the sign-in.
            ProviderUnavailable: If the provider is unavailable.
        """
        if not browser:
            raise LoginExpired
        async with transaction(self.database.write) as session:
            attempt = await self._pop_attempt(session, browser, params.state)
        if attempt is None:
            raise LoginExpired
        if params.code is None or params.error is not None:
            logger.info("sign-in cancelled at the provider", provider=attempt.provider, error=params.error)
            raise LoginCancelled
        secrets = LoginSecrets(self.redirect_uri, attempt.nonce, attempt.code_verifier)
        user, id_token = await self.provider.exchange_code(params.code, params.issuer, secrets)
        return ConfirmedLogin(attempt.provider, user, id_token, attempt.return_to)

    async def _pop_attempt(self, session: AsyncSession, browser: str, state: str) -> LoginAttempt | None:
        """Delete and return the attempt, if it belongs to this browser and provider."""
        matching = delete(LoginAttempt).where(
            col(LoginAttempt.state) == digest(state),
            col(LoginAttempt.browser) == digest(browser),
            col(LoginAttempt.provider) == self.provider.settings.name,
            col(LoginAttempt.expires_at) > utc_now(),
        )
        return (await session.exec(matching.returning(LoginAttempt))).scalar_one_or_none()
