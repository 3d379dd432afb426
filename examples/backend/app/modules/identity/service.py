"""What can be done with identities: signing in with them, and opening accounts for them."""

from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.exceptions import ForbiddenError
from app.core.preconditions import Precondition
from app.modules.auth.service import AuthService
from app.modules.identity.models import Identity, SessionCookie
from app.modules.identity.repository import IdentityRepository, SessionEnded
from app.modules.user.models import User
from app.modules.user.schemas import Email, Name, UserCreate
from app.modules.user.service import UserService
from app.oidc.bearer import AccessToken
from app.oidc.login import Confirmed
from app.oidc.statements import Person
from app.security.audit import audit
from app.security.principal import Device, Principal, Scope
from app.security.secrets import digest, new_secret

_email = TypeAdapter(Email)
_name = TypeAdapter(Name)


class EmailNotVerified(ForbiddenError):
    """Nobody vouches for the address, so it proves nothing about an account that has it."""

    message = "The identity provider does not vouch for your e-mail address. Verify it there, then sign in again."


class AccountNeeded(ForbiddenError):
    """The token is valid, and its owner unknown."""

    message = "You have no account here yet. Open one with POST /api/v1/auth/accounts."


class IdentityService:
    """The rules about identities."""

    def __init__(self, session: AsyncSession, identities: IdentityRepository | None = None) -> None:
        """Work inside the transaction of `session`; tests may bring a repository of their own."""
        self.session = session
        self.identities = identities or IdentityRepository(session)
        self.users = UserService(session)
        self.auth = AuthService(session)

    async def account(self, person: Person) -> User:
        """Find the account of somebody, or open one.

        Raises:
            EmailNotVerified: If they are new, and their address may be somebody else's.
            ConflictError: If the same happens elsewhere at this moment.
        """
        if owner := await self.identities.owner(person.issuer, person.subject):
            return await self.auth.user(owner)
        email = _verified_email(person)
        user = await self.users.find(email)
        if user is None:
            user = await self.users.register(UserCreate(email=email, name=_name_of(person, email)))
        await self.identities.link(Identity(user_id=user.id, issuer=person.issuer, subject=person.subject))
        audit("identity_linked", user_id=user.id, issuer=person.issuer)
        return user

    async def by_cookie(self, secret: str) -> Principal:
        """Tell who has the cookie of a session.

        Raises:
            SessionEnded: If the session is over.
        """
        login = await self.identities.session_of(secret)
        if login is None:
            raise SessionEnded
        return Principal(login.user_id, await self.auth.scopes_of(login), login.expires_at, login.id)

    async def by_token(self, token: AccessToken) -> Principal:
        """Tell whose access token it is, and what it allows.

        If the token names scopes of ours, it allows those that its owner has. If it names none,
        its provider does not know them: it allows to read and to write, and never what only an
        administrator may do.

        Raises:
            AccountNeeded: If its owner has no account.
        """
        owner = await self.identities.owner(token.provider.settings.issuer, token.claims["sub"])
        if owner is None:
            raise AccountNeeded
        named = token.scopes & frozenset(Scope) or {Scope.READ, Scope.WRITE}
        return Principal(owner, await self.auth.scopes(owner) & named, token.expires_at)

    async def sign_in(self, confirmed: Confirmed, device: Device) -> str:
        """Begin a session for somebody who has proven who they are, and return the secret of its cookie.

        Raises:
            EmailNotVerified: If they are new, and their address may be somebody else's.
            ConflictError: If the same happens elsewhere at this moment.
        """
        user, secret = await self.account(confirmed.person), new_secret()
        login = await self.auth.start(user.id, device)
        cookie = SessionCookie(
            secret=digest(secret),
            session_id=login.id,
            provider=confirmed.provider,
            id_token=confirmed.id_token,
            expires_at=login.expires_at,
        )
        await self.identities.add_cookie(cookie)
        audit("login", user_id=user.id, provider=confirmed.provider)
        return secret

    async def sign_out(self, user_id: UUID, session_id: UUID) -> SessionCookie:
        """End a session, and return the cookie that was good for it.

        Raises:
            SessionEnded: If somebody else was faster.
        """
        cookie = await self.identities.take_cookie(session_id)
        await self.auth.end(user_id, session_id)
        return cookie

    async def close_account(self, user_id: UUID) -> None:
        """Delete an account with all that belongs to it. At the provider nothing changes."""
        await self.users.delete(user_id, Precondition(None))
        audit("account_closed", user_id=user_id)


def _verified_email(person: Person) -> str:
    try:
        email = _email.validate_python(person.email)
    except ValidationError:
        raise EmailNotVerified from None
    if not person.email_verified:
        raise EmailNotVerified
    return email


def _name_of(person: Person, email: str) -> str:
    """Take the name that the provider knows, if it can be used; it can be changed later."""
    try:
        return _name.validate_python(person.name)
    except ValidationError:
        return email.partition("@")[0]
