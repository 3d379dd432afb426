"""How identities and cookies are found and kept."""

from uuid import UUID

from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.exceptions import ConflictError, UnauthenticatedError
from app.db.base import utc_now
from app.db.errors import translating
from app.modules.auth.models import LoginSession
from app.modules.identity.models import IDENTITY_UNIQUE, OWNER_EXISTS, Identity, SessionCookie
from app.security.secrets import digest


class IdentityTaken(ConflictError):
    """Somebody has come with the same identity at the same time."""

    message = "This identity belongs to an account by now. Try again."


class OwnerGone(ConflictError):
    """The account was closed while it was linked."""

    message = "This account was closed just now. Try again."


class SessionEnded(UnauthenticatedError):
    """The session of the cookie is over."""

    message = "You are signed out. Sign in again."


class IdentityRepository:
    """The identities and cookies in the database."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the transaction of `session`."""
        self.session = session

    async def owner(self, issuer: str, subject: str) -> UUID | None:
        """Find the user who has an identity."""
        query = select(Identity.user_id).where(col(Identity.issuer) == issuer, col(Identity.subject) == subject)
        return (await self.session.exec(query)).one_or_none()

    async def link(self, identity: Identity) -> None:
        """Keep whose identity it is.

        Raises:
            IdentityTaken: If it is somebody's already.
            OwnerGone: If the user was deleted meanwhile.
        """
        self.session.add(identity)
        with translating({IDENTITY_UNIQUE: IdentityTaken, OWNER_EXISTS: OwnerGone}):
            await self.session.flush()

    async def add_cookie(self, cookie: SessionCookie) -> None:
        """Keep the cookie of a new session."""
        self.session.add(cookie)
        await self.session.flush()

    async def session_of(self, secret: str) -> LoginSession | None:
        """Find the session that a cookie proves."""
        query = (
            select(LoginSession)
            .join(SessionCookie, col(SessionCookie.session_id) == col(LoginSession.id))
            .where(col(SessionCookie.secret) == digest(secret), col(LoginSession.expires_at) > utc_now())
        )
        return (await self.session.exec(query)).one_or_none()

    async def take_cookie(self, session_id: UUID) -> SessionCookie:
        """Take out the cookie of a session that ends.

        Raises:
            SessionEnded: If it has ended already.
        """
        taken = delete(SessionCookie).where(col(SessionCookie.session_id) == session_id).returning(SessionCookie)
        if cookie := (await self.session.exec(taken)).scalar_one_or_none():
            return cookie
        raise SessionEnded
