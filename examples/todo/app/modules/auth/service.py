"""Business rules for sessions and roles."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import publish
from app.core.exceptions import InvalidError, NotFoundError
from app.core.preconditions import Precondition
from app.db.base import utc_now
from app.modules.auth.events import SignedIn, SignedOut
from app.modules.auth.models import LoginSession, Role
from app.modules.auth.repository import AuthRepository, UserGone
from app.modules.auth.schemas import MeUpdate
from app.modules.user.models import User
from app.modules.user.schemas import UserUpdate
from app.modules.user.service import UserNotFound, UserService
from app.security.audit import audit
from app.security.principal import Device, Scope


class SessionNotFound(NotFoundError):
    """The user has no session with this id."""

    message = "You have no session with this id."


class InvalidScope(InvalidError):
    """The user is allowed none of the requested scopes."""

    message = "None of the requested scopes can be granted."


class AuthService:
    """Business rules for sessions and roles."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session
        self.logins = AuthRepository(session)
        self.users = UserService(session)

    async def user(self, user_id: UUID) -> User:
        """Return the user of an access token or session.

        Raises:
            UserGone: If the user has been deleted.
        """
        try:
            return await self.users.get(user_id)
        except UserNotFound:
            raise UserGone from None

    async def update(self, user_id: UUID, data: MeUpdate, precondition: Precondition) -> User:
        """Change the account of the current user.

        Raises:
            UserGone: If the user has been deleted.
            PreconditionFailedError: If the user has changed since the client read it.
        """
        await self.user(user_id)
        return await self.users.update(user_id, UserUpdate(**data.model_dump(exclude_unset=True)), precondition)

    async def start_session(
        self, user_id: UUID, device: Device, lifetime: timedelta, requested: frozenset[str] = frozenset()
    ) -> LoginSession:
        """Start a session for an authenticated user. An empty set requests all scopes of the user.

        Raises:
            InvalidScope: If the user is allowed none of the requested scopes.
            UserGone: If the user was deleted concurrently.
        """
        granted = (await self.scopes(user_id)) & (requested or frozenset(Scope))
        if not granted:
            raise InvalidScope
        login = LoginSession(
            user_id=user_id,
            scope=" ".join(sorted(granted)),
            client=device.client,
            address=device.address,
            expires_at=utc_now() + lifetime,
        )
        await self.logins.add(login)
        await publish(self.session, SignedIn(user_id=user_id, session_id=login.id))
        return login

    async def sessions(self, user_id: UUID) -> Sequence[LoginSession]:
        """Return the active sessions of a user, most recently used first."""
        return await self.logins.sessions(user_id)

    async def revoke_session(self, user_id: UUID, session_id: UUID) -> None:
        """Revoke one session of a user, which signs out its device.

        Raises:
            SessionNotFound: If the user has no session with this id.
        """
        if not await self.logins.revoke_session(user_id, session_id):
            raise SessionNotFound
        audit("logout", user_id=user_id, session_id=str(session_id))
        await publish(self.session, SignedOut(user_id=user_id, session_id=session_id))

    async def revoke_all_sessions(self, user_id: UUID, keep: UUID | None = None) -> None:
        """Revoke all sessions of a user, except `keep`."""
        await self.logins.revoke_all_sessions(user_id, keep)
        audit("logout_all", user_id=user_id)
        await publish(self.session, SignedOut(user_id=user_id, kept_session_id=keep))

    async def grant_role(self, user_id: UUID, role: Role) -> None:
        """Grant a role to a user."""
        await self.logins.grant_role(user_id, role)
        audit("role_granted", user_id=user_id, role=role)

    async def revoke_role(self, user_id: UUID, role: Role) -> None:
        """Revoke a role from a user. Access tokens that were already issued keep its scope until they expire."""
        await self.logins.revoke_role(user_id, role)
        audit("role_revoked", user_id=user_id, role=role)

    async def session_scopes(self, login: LoginSession) -> frozenset[str]:
        """Return the scopes of a session: those granted at sign-in that the user still has."""
        return frozenset(login.scope.split()) & await self.scopes(login.user_id)

    async def scopes(self, user_id: UUID) -> frozenset[str]:
        """Return all scopes that a user's roles allow."""
        admin = {Scope.ADMIN} if Role.ADMIN in await self.logins.roles(user_id) else set()
        return frozenset({Scope.READ, Scope.WRITE} | admin)
