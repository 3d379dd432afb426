"""Queries for sessions and roles."""

from collections.abc import Sequence
from uuid import UUID

from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.exceptions import UnauthenticatedError
from app.db.base import utc_now
from app.db.errors import map_integrity_errors
from app.modules.auth.models import SESSION_USER_FK, LoginSession, Role, UserRole


class UserGone(UnauthenticatedError):
    """The user was deleted, possibly during the sign-in."""

    message = "This account no longer exists."


class AuthRepository:
    """Queries for sessions and roles."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, login: LoginSession) -> None:
        """Store a new session.

        Raises:
            UserGone: If the user was deleted concurrently.
        """
        self.session.add(login)
        with map_integrity_errors({SESSION_USER_FK: UserGone}):
            await self.session.flush()

    async def sessions(self, user_id: UUID) -> Sequence[LoginSession]:
        """Return the active sessions of a user, most recently used first."""
        query = select(LoginSession).where(
            col(LoginSession.user_id) == user_id, col(LoginSession.expires_at) > utc_now()
        )
        return (await self.session.exec(query.order_by(col(LoginSession.used_at).desc()))).all()

    async def revoke_session(self, user_id: UUID, session_id: UUID) -> bool:
        """Delete one session of a user; return whether it existed."""
        matching = delete(LoginSession).where(col(LoginSession.id) == session_id, col(LoginSession.user_id) == user_id)
        return (await self.session.exec(matching)).rowcount > 0

    async def revoke_all_sessions(self, user_id: UUID, keep: UUID | None) -> None:
        """Delete all sessions of a user, except `keep`."""
        of_user = delete(LoginSession).where(col(LoginSession.user_id) == user_id)
        await self.session.exec(of_user if keep is None else of_user.where(col(LoginSession.id) != keep))

    async def roles(self, user_id: UUID) -> Sequence[str]:
        """Return the roles of a user."""
        return (await self.session.exec(select(UserRole.role).where(col(UserRole.user_id) == user_id))).all()

    async def grant_role(self, user_id: UUID, role: Role) -> None:
        """Grant a role to a user; does nothing if they already have it."""
        await self.session.merge(UserRole(user_id=user_id, role=role))
        await self.session.flush()

    async def revoke_role(self, user_id: UUID, role: Role) -> None:
        """Revoke a role from a user."""
        await self.session.exec(delete(UserRole).where(col(UserRole.user_id) == user_id, col(UserRole.role) == role))
