"""The way of a browser to a provider and back.

What has to fit when it comes back is a row, which is taken out when it does: each sign-in
ends once, in the browser that began it. No transaction waits for the network.
"""

from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlmodel import Field, col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.exceptions import ForbiddenError, UnauthenticatedError
from app.db.base import Expiring, utc_now
from app.db.session import Database, transaction
from app.oidc.provider import Attempt, Provider
from app.oidc.statements import Person
from app.security.secrets import digest, new_secret

logger = structlog.get_logger(__name__)

LOGIN_LASTS = timedelta(minutes=10)


class LoginExpired(UnauthenticatedError):
    """This browser has not begun the sign-in, or it took too long, or was finished before."""

    message = "This sign-in is not going on in this browser. Begin again."


class LoginCancelled(ForbiddenError):
    """Somebody has changed their mind at the provider, or may not go on there."""

    message = "The sign-in was cancelled."


class LoginAttempt(Expiring, table=True):
    """A sign-in that is under way."""

    __tablename__ = "login_attempt"

    state: str = Field(primary_key=True, max_length=64)  # as digest
    browser: str = Field(max_length=64)  # as digest
    provider: str = Field(max_length=32)
    nonce: str = Field(max_length=64)
    code_verifier: str = Field(max_length=64)
    return_to: str = Field(max_length=1000)


@dataclass(frozen=True)
class Answer:
    """What a browser brings back."""

    state: str
    code: str | None
    error: str | None
    issuer: str | None


@dataclass(frozen=True)
class Confirmed:
    """Somebody has signed in at the provider."""

    provider: str
    person: Person
    id_token: str
    return_to: str


class Login:
    """Signing in with one provider."""

    def __init__(self, database: Database, provider: Provider, redirect_uri: str) -> None:
        """Send people from `provider` back to `redirect_uri`."""
        self.database = database
        self.provider = provider
        self.redirect_uri = redirect_uri

    async def start(self, browser: str, return_to: str) -> str:
        """Return where to send a browser.

        Args:
            browser: A secret that it has to show again.
            return_to: The page of the application where it goes in the end.

        Raises:
            ProviderUnavailable: If the provider does not answer.
        """
        attempt, state = Attempt(self.redirect_uri, nonce=new_secret(), code_verifier=new_secret()), new_secret()
        url = await self.provider.login_url(attempt, state)
        kept = LoginAttempt(
            state=digest(state),
            browser=digest(browser),
            provider=self.provider.settings.name,
            nonce=attempt.nonce,
            code_verifier=attempt.code_verifier,
            return_to=return_to,
            expires_at=utc_now() + LOGIN_LASTS,
        )
        async with transaction(self.database.writers) as session:
            session.add(kept)
        return url

    async def finish(self, browser: str, answer: Answer) -> Confirmed:
        """Learn who has come back.

        Raises:
            LoginExpired: If this browser has no such sign-in under way.
            LoginCancelled: If the provider says that nobody has signed in.
            LoginRefused: If the answer does not prove who it is.
            ProviderUnavailable: If the provider does not answer.
        """
        if not browser:
            raise LoginExpired
        async with transaction(self.database.writers) as session:
            kept = await self._take(session, browser, answer.state)
        if kept is None:
            raise LoginExpired
        if answer.code is None or answer.error is not None:
            logger.info("nobody has signed in", provider=kept.provider, error=answer.error)
            raise LoginCancelled
        attempt = Attempt(self.redirect_uri, kept.nonce, kept.code_verifier)
        person, id_token = await self.provider.redeem(answer.code, answer.issuer, attempt)
        return Confirmed(kept.provider, person, id_token, kept.return_to)

    async def _take(self, session: AsyncSession, browser: str, state: str) -> LoginAttempt | None:
        """Take the sign-in out, if it is this browser's and with this provider."""
        taken = delete(LoginAttempt).where(
            col(LoginAttempt.state) == digest(state),
            col(LoginAttempt.browser) == digest(browser),
            col(LoginAttempt.provider) == self.provider.settings.name,
            col(LoginAttempt.expires_at) > utc_now(),
        )
        return (await session.exec(taken.returning(LoginAttempt))).scalar_one_or_none()
