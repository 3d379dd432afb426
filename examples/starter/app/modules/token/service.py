"""How tokens are handed out and exchanged."""

from datetime import timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.exceptions import ConflictError, UnauthenticatedError
from app.db.base import utc_now
from app.jwt.access_tokens import AccessTokens
from app.modules.auth.models import LoginSession
from app.modules.auth.service import AuthService, InvalidScope
from app.modules.password.service import PasswordService
from app.modules.token.models import RefreshToken
from app.modules.token.repository import TokenRepository
from app.modules.token.schemas import Tokens
from app.security.audit import audit
from app.security.principal import Device
from app.security.secrets import digest, new_secret


class InvalidRefreshToken(UnauthenticatedError):
    """The refresh token is unknown, too old, or was used before."""

    message = "This refresh token is not good, or no longer. Sign in again."


class RefreshedJustNow(ConflictError):
    """The same refresh token came twice in a moment: a double click, or a repeated request."""

    message = "This token was exchanged a moment ago. Use the tokens from that answer."


class TokenService:
    """The rules about tokens."""

    def __init__(
        self,
        session: AsyncSession,
        access_tokens: AccessTokens,
        grace: timedelta,
        tokens: TokenRepository | None = None,
    ) -> None:
        """Work inside the transaction of `session`; forgive a second use of a refresh token within `grace`."""
        self.session = session
        self.access_tokens = access_tokens
        self.grace = grace
        self.tokens = tokens or TokenRepository(session)
        self.auth = AuthService(session)

    async def log_in(
        self, passwords: PasswordService, email: str, password: str, wanted: frozenset[str], device: Device
    ) -> Tokens:
        """Begin a session for whoever knows the password, and hand out its first tokens.

        Raises:
            WrongCredentials: If the address and the password do not belong together.
            InvalidScope: If none of the scopes that are wanted can be given.
        """
        user = await passwords.authenticate(email, password)
        try:
            login = await self.auth.start(user.id, device, wanted)
        except InvalidScope:
            audit("login", user_id=user.id, outcome="invalid_scope")
            raise
        audit("login", user_id=user.id, session_id=str(login.id))
        return await self._hand_out(login)

    async def refresh(self, secret: str) -> Tokens | None:
        """Exchange a refresh token for new tokens.

        Returns:
            The tokens; none if the token had been used before. Then somebody else has a copy of
            it, and the session has ended for both.

        Raises:
            InvalidRefreshToken: If there is no such token, or no longer.
            RefreshedJustNow: If it was used a moment ago, which is most likely the same client.
        """
        login = await self.tokens.lock_session(digest(secret))
        if login is None:
            raise InvalidRefreshToken
        if await self.tokens.use(digest(secret)):
            login.used_at = utc_now()
            return await self._hand_out(login)
        return await self._used_again(login, digest(secret))

    async def _used_again(self, login: LoginSession, digested: str) -> None:
        token = await self.tokens.get(digested)
        if token is None or (token.used_at is not None and utc_now() < token.used_at + self.grace):
            raise RefreshedJustNow
        audit("refresh", user_id=login.user_id, outcome="reused_token", session_id=str(login.id))
        await self.auth.end(login.user_id, login.id)

    async def _hand_out(self, login: LoginSession) -> Tokens:
        secret, scopes = new_secret(), await self.auth.scopes_of(login)
        await self.tokens.add(RefreshToken(digest=digest(secret), session_id=login.id, expires_at=login.expires_at))
        return Tokens(
            access_token=self.access_tokens.issue(login.user_id, login.id, scopes),
            expires_in=int(self.access_tokens.lifetime.total_seconds()),
            refresh_token=secret,
            scope=" ".join(sorted(scopes)),
        )
