"""Queries for identities and session cookies."""

from uuid import UUID

from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.exceptions import ConflictError, UnauthenticatedError
from app.db.base import utc_now
from app.db.errors import map_integrity_errors
from app.modules.auth.models import LoginSession
from app.modules.identity.models import IDENTITY_UNIQUE, IDENTITY_USER_FK, Identity, SessionCookie
from app.security.secrets import digest


class IdentityTaken(ConflictError):
    """A concurrent request has linked the same identity."""

    message = "This identity has just been linked to an account. Try again."


class OwnerGone(ConflictError):
    """The user was deleted while the identity was being linked."""

    message = "This account has just been deleted. Try again."


class SessionEnded(UnauthenticatedError):
    """The cookie belongs to a session that has expired or was revoked."""

    message = "Your session has ended. Sign in again."


class IdentityRepository:
    """Queries for identities and session cookies."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def find_user_id(self, issuer: str, subject: str) -> UUID | None:
        """Return the id of the user an identity is linked to."""
        query = select(Identity.user_id).where(col(Identity.issuer) == issuer, col(Identity.subject) == subject)
        return (await self.session.exec(query)).one_or_none()

    async def add_identity(self, identity: Identity) -> None:
        """Store the link between an identity and a user.

        Raises:
            IdentityTaken: If the identity is already linked.
            OwnerGone: If the user was deleted concurrently.
        """
        self.session.add(identity)
        with map_integrity_errors({IDENTITY_UNIQUE: IdentityTaken, IDENTITY_USER_FK: OwnerGone}):
            await self.session.flush()

    async def add_cookie(self, cookie: SessionCookie) -> None:
        """Store the cookie of a new session."""
        self.session.add(cookie)
        await self.session.flush()

    async def find_session(self, secret: str) -> LoginSession | None:
        """Return the active session that a cookie secret belongs to."""
        query = (
            select(LoginSession)
            .join(SessionCookie, col(SessionCookie.session_id) == col(LoginSession.id))
            .where(col(SessionCookie.secret) == digest(secret), col(LoginSession.expires_at) > utc_now())
        )
        return (await self.session.exec(query)).one_or_none()

    async def pop_cookie(self, session_id: UUID) -> SessionCookie:
        """Delete and return the cookie of a session.

        Raises:
            SessionEnded: If the session has already ended.
        """
        matching = delete(SessionCookie).where(col(SessionCookie.session_id) == session_id).returning(SessionCookie)
        if cookie := (await self.session.exec(matching)).scalar_one_or_none():
            return cookie
        raise SessionEnded
