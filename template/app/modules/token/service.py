"""Business rules for tokens: issuing and refreshing."""

from contextlib import suppress
from datetime import timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.exceptions import ConflictError, UnauthenticatedError
from app.db.base import utc_now
from app.jwt.access_tokens import AccessTokens
from app.modules.auth.models import LoginSession
from app.modules.auth.service import AuthService, InvalidScope, SessionNotFound
from app.modules.password.service import PasswordService
from app.modules.token.models import RefreshToken
from app.modules.token.repository import TokenRepository
from app.modules.token.schemas import Tokens
from app.security.audit import audit
from app.security.principal import Device, Principal
from app.security.secrets import digest, new_secret


class InvalidRefreshToken(UnauthenticatedError):
    """The refresh token is unknown, expired, or was used before."""

    message = "Invalid or expired refresh token. Sign in again."


class RefreshedJustNow(ConflictError):
    """The refresh token was used again within the grace period, for example by a repeated request."""

    message = "This refresh token has just been used. Use the tokens from that response."


class TokenService:
    """Business rules for tokens."""

    def __init__(
        self, session: AsyncSession, access_tokens: AccessTokens, grace: timedelta, session_lifetime: timedelta
    ) -> None:
        """Within `grace`, the reuse of a refresh token does not end the session."""
        self.access_tokens = access_tokens
        self.grace = grace
        self.session_lifetime = session_lifetime
        self.tokens = TokenRepository(session)
        self.auth = AuthService(session)

    async def sign_in(
        self, passwords: PasswordService, email: str, password: str, requested_scopes: frozenset[str], device: Device
    ) -> Tokens:
        """Check the password, start a session, and issue its first tokens.

        Raises:
            WrongCredentials: If the email address or the password is wrong.
            InvalidScope: If the user is allowed none of the requested scopes.
        """
        user = await passwords.authenticate(email, password)
        try:
            login = await self.auth.start_session(user.id, device, self.session_lifetime, requested_scopes)
        except InvalidScope:
            audit("login", user_id=user.id, outcome="invalid_scope")
            raise
        audit("login", user_id=user.id, session_id=str(login.id))
        return await self._issue_tokens(login)

    async def sign_out(self, principal: Principal) -> None:
        """Revoke the session of an access token. A session that has already ended is not an error."""
        if principal.session_id is not None:
            with suppress(SessionNotFound):
                await self.auth.revoke_session(principal.user_id, principal.session_id)

    async def refresh(self, secret: str) -> Tokens | None:
        """Exchange a refresh token for new tokens.

        Returns:
            The new tokens, or None if the refresh token was used before. It may have been stolen then, so the
            session is ended for both holders.

        Raises:
            InvalidRefreshToken: If the token is unknown, or the session has ended.
            RefreshedJustNow: If the token was used within the grace period, most likely by the same client.
        """
        login = await self.tokens.lock_session(digest(secret))
        if login is None:
            raise InvalidRefreshToken
        if await self.tokens.mark_used(digest(secret)):
            login.used_at = utc_now()
            return await self._issue_tokens(login)
        return await self._handle_reuse(login, digest(secret))

    async def _handle_reuse(self, login: LoginSession, digested: str) -> None:
        token = await self.tokens.get(digested)
        if token is None or (token.used_at is not None and utc_now() < token.used_at + self.grace):
            raise RefreshedJustNow
        audit("refresh", user_id=login.user_id, outcome="reused_token", session_id=str(login.id))
        await self.auth.revoke_session(login.user_id, login.id)

    async def _issue_tokens(self, login: LoginSession) -> Tokens:
        secret, scopes = new_secret(), await self.auth.session_scopes(login)
        await self.tokens.add(RefreshToken(digest=digest(secret), session_id=login.id, expires_at=login.expires_at))
        return Tokens(
            access_token=self.access_tokens.issue(login.user_id, login.id, scopes),
            expires_in=int(self.access_tokens.lifetime.total_seconds()),
            refresh_token=secret,
            scope=" ".join(sorted(scopes)),
        )
