"""Business rules for identities: sign-in and creation of users."""

from datetime import timedelta
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
from app.oidc.claims import ProviderUser
from app.oidc.login import ConfirmedLogin
from app.security.audit import audit
from app.security.principal import Device, Principal, Scope
from app.security.secrets import digest, new_secret

_email = TypeAdapter(Email)
_name = TypeAdapter(Name)


class EmailNotVerified(ForbiddenError):
    """The provider does not report the email address as verified, so the identity must not be linked to a user."""

    message = "Your identity provider has not verified your email address. Verify it there, then sign in again."


class AccountNeeded(ForbiddenError):
    """The access token is valid, but its owner is not a user yet."""

    message = "You do not have an account yet. Create one with POST /api/v1/auth/accounts."


class IdentityService:
    """Business rules for identities."""

    def __init__(self, session: AsyncSession) -> None:
        self.identities = IdentityRepository(session)
        self.users = UserService(session)
        self.auth = AuthService(session)

    async def get_or_create_account(self, provider_user: ProviderUser) -> User:
        """Return the user linked to a provider user; link or create one on first sign-in.

        Raises:
            EmailNotVerified: If the user is new here and the email address is not verified.
            ConflictError: If a concurrent request links the same identity or creates the same user.
        """
        if owner := await self.identities.find_user_id(provider_user.issuer, provider_user.subject):
            return await self.auth.user(owner)
        email = _verified_email(provider_user)
        user = await self.users.find(email)
        if user is None:
            user = await self.users.register(UserCreate(email=email, name=_display_name(provider_user, email)))
        await self.identities.add_identity(
            Identity(user_id=user.id, issuer=provider_user.issuer, subject=provider_user.subject)
        )
        audit("identity_linked", user_id=user.id, issuer=provider_user.issuer)
        return user

    async def authenticate_cookie(self, secret: str) -> Principal:
        """Return the principal of a session cookie.

        Raises:
            SessionEnded: If the session has expired or was revoked.
        """
        login = await self.identities.find_session(secret)
        if login is None:
            raise SessionEnded
        return Principal(login.user_id, await self.auth.session_scopes(login), login.expires_at, login.id)

    async def authenticate_token(self, token: AccessToken) -> Principal:
        """Return the principal of an access token.

        A token that contains scopes of this API grants those that its owner has. A token without any comes from
        a provider that does not know them: it grants `read` and `write`, but never `admin`.

        Raises:
            AccountNeeded: If its owner is not a user yet.
        """
        owner = await self.identities.find_user_id(token.provider.settings.issuer, token.claims["sub"])
        if owner is None:
            raise AccountNeeded
        granted = token.scopes & frozenset(Scope) or {Scope.READ, Scope.WRITE}
        return Principal(owner, await self.auth.scopes(owner) & granted, token.expires_at)

    async def sign_in(self, confirmed: ConfirmedLogin, device: Device, lifetime: timedelta) -> str:
        """Start a session after a confirmed sign-in and return the secret for its cookie.

        Raises:
            EmailNotVerified: If the user is new here and the email address is not verified.
            ConflictError: If a concurrent request links the same identity or creates the same user.
        """
        user, secret = await self.get_or_create_account(confirmed.user), new_secret()
        login = await self.auth.start_session(user.id, device, lifetime)
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
        """Revoke a session and return its cookie record.

        Raises:
            SessionEnded: If a concurrent request has already ended the session.
        """
        cookie = await self.identities.pop_cookie(session_id)
        await self.auth.revoke_session(user_id, session_id)
        return cookie

    async def delete_account(self, user_id: UUID) -> None:
        """Delete a user and all their data. The account at the identity provider is not affected."""
        await self.users.delete(user_id, Precondition(None))
        audit("account_deleted", user_id=user_id)


def _verified_email(provider_user: ProviderUser) -> str:
    try:
        email = _email.validate_python(provider_user.email)
    except ValidationError:
        raise EmailNotVerified from None
    if not provider_user.email_verified:
        raise EmailNotVerified
    return email


def _display_name(provider_user: ProviderUser, email: str) -> str:
    """Return the provider's name for the user if it is valid, else the local part of the email address."""
    try:
        return _name.validate_python(provider_user.name)
    except ValidationError:
        return email.partition("@")[0]
