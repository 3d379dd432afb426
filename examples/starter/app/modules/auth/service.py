"""What can be done with sessions and roles."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.config import load
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
from app.security.principal import Device, Principal, Scope
from app.security.settings import SecuritySettings


class SessionNotFound(NotFoundError):
    """The user has no such session."""

    message = "You have no session with this id."


class InvalidScope(InvalidError):
    """None of the scopes that were asked for can be given."""

    message = "You may have none of these scopes."


class AuthService:
    """The rules about sessions and roles."""

    def __init__(
        self, session: AsyncSession, logins: AuthRepository | None = None, users: UserService | None = None
    ) -> None:
        """Work inside the transaction of `session`; tests may bring a repository of their own."""
        self.session = session
        self.logins = logins or AuthRepository(session)
        self.users = users or UserService(session)

    async def user(self, user_id: UUID) -> User:
        """Find the account of whoever is signed in.

        Raises:
            UserGone: If it was closed since.
        """
        try:
            return await self.users.get(user_id)
        except UserNotFound:
            raise UserGone from None

    async def update(self, user_id: UUID, data: MeUpdate, precondition: Precondition) -> User:
        """Change one's own account.

        Raises:
            UserGone: If it was closed since.
            PreconditionFailedError: If it has changed since the client saw it.
        """
        await self.user(user_id)
        return await self.users.update(user_id, UserUpdate(**data.model_dump(exclude_unset=True)), precondition)

    async def start(self, user_id: UUID, device: Device, wanted: frozenset[str] = frozenset()) -> LoginSession:
        """Begin a session for somebody who has proven who they are.

        Args:
            user_id: Who.
            device: Where.
            wanted: The scopes that are asked for; none means all that the user may have.

        Raises:
            InvalidScope: If the user may have none of them.
            UserGone: If the account was closed meanwhile.
        """
        granted = (await self.scopes(user_id)) & (wanted or frozenset(Scope))
        if not granted:
            raise InvalidScope
        login = LoginSession(
            user_id=user_id,
            scope=" ".join(sorted(granted)),
            client=device.client,
            address=device.address,
            expires_at=utc_now() + timedelta(days=load(SecuritySettings).session_days),
        )
        await self.logins.add(login)
        await publish(self.session, SignedIn(user_id=user_id, session_id=login.id))
        return login

    async def sessions(self, user_id: UUID) -> Sequence[LoginSession]:
        """List a user's sessions, the latest first."""
        return await self.logins.sessions(user_id)

    async def end(self, user_id: UUID, session_id: UUID) -> None:
        """End one session of a user. What was handed out for it is worth nothing from then on.

        Raises:
            SessionNotFound: If the user has no such session.
        """
        if not await self.logins.end(user_id, session_id):
            raise SessionNotFound
        audit("logout", user_id=user_id, session_id=str(session_id))
        await publish(self.session, SignedOut(user_id=user_id, session_id=session_id))

    async def log_out(self, principal: Principal) -> None:
        """End the session of this request, if it has one. That it has ended already is as good."""
        if principal.session_id is not None:
            with suppress(SessionNotFound):
                await self.end(principal.user_id, principal.session_id)

    async def end_all(self, user_id: UUID, keep: UUID | None = None) -> None:
        """End all sessions of a user, but for the one to keep."""
        await self.logins.end_all(user_id, keep)
        audit("logout_everywhere", user_id=user_id)
        await publish(self.session, SignedOut(user_id=user_id))

    async def grant(self, user_id: UUID, role: Role) -> None:
        """Give a user a role."""
        await self.logins.grant(user_id, role)
        audit("role_granted", user_id=user_id, role=role)

    async def withdraw(self, user_id: UUID, role: Role) -> None:
        """Take a role from a user. Tokens that are out already keep it until they expire."""
        await self.logins.withdraw(user_id, role)
        audit("role_withdrawn", user_id=user_id, role=role)

    async def scopes_of(self, login: LoginSession) -> frozenset[str]:
        """Tell what a session may be used for: what was asked for then and is still allowed now."""
        return frozenset(login.scope.split()) & await self.scopes(login.user_id)

    async def scopes(self, user_id: UUID) -> frozenset[str]:
        """Tell what a user may do at most."""
        admin = {Scope.ADMIN} if Role.ADMIN in await self.logins.roles(user_id) else set()
        return frozenset({Scope.READ, Scope.WRITE} | admin)
