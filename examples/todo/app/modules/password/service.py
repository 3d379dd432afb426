"""Business rules for registration and passwords.

Password hashing is slow, so it always happens before the transaction writes: its inputs are read in a separate
transaction, and checked again afterwards.
"""

from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import publish
from app.core.exceptions import ForbiddenError, UnauthenticatedError
from app.core.preconditions import Precondition
from app.db.base import utc_now
from app.db.session import Database, open_read_session
from app.jwt.passwords import Passwords
from app.mail import send
from app.modules.auth.service import AuthService
from app.modules.password import emails
from app.modules.password.events import PasswordChanged
from app.modules.password.models import Purpose
from app.modules.password.repository import PasswordRepository
from app.modules.password.schemas import RegisterRequest
from app.modules.user.models import User
from app.modules.user.schemas import UserCreate, UserUpdate
from app.modules.user.service import UserService
from app.security.audit import audit, fingerprint


class WrongCredentials(UnauthenticatedError):
    """The email address or the password is wrong. The error does not say which, to hide whether an account exists."""

    message = "Wrong email address or password."


class WrongPassword(ForbiddenError):
    """A signed-in user entered the wrong current password."""

    message = "Wrong password."


class PasswordService:
    """Business rules for registration and passwords."""

    def __init__(self, session: AsyncSession, database: Database, passwords: Passwords) -> None:
        """Write in the transaction of `session`; read the inputs of slow hashing from `database` beforehand."""
        self.session = session
        self.database = database
        self.passwords = passwords
        self.repository = PasswordRepository(session)
        self.users = UserService(session)
        self.auth = AuthService(session)

    async def authenticate(self, email: str, password: str, attempt: str = "login") -> User:
        """Return the user with this email address and password.

        It takes the same time whether the user exists or not.

        Args:
            email: Email address, in any case.
            password: Plain-text password.
            attempt: Audit event to log on failure.

        Raises:
            WrongCredentials: If the email address or the password is wrong.
        """
        async with open_read_session(self.database) as session:
            found = await PasswordRepository(session).find(email.strip().lower())
        user, stored = found or (None, None)
        matches, new_hash = await self.passwords.verify(password, stored.hash if stored else None)
        if user is None or stored is None or not matches or not await self._is_current(user.id, stored.hash, new_hash):
            audit(attempt, user_id=user.id if user else None, outcome="wrong_credentials", account=fingerprint(email))
            raise WrongCredentials
        return user

    async def _is_current(self, user_id: UUID, seen: str, new_hash: str | None) -> bool:
        """Return whether the password hash is still `seen`; replace it if it uses outdated parameters."""
        await self.repository.lock_account(user_id)
        stored = await self.repository.get(user_id)
        if stored is None or stored.hash != seen:
            return False
        if new_hash is not None:
            stored.hash = new_hash
        return True

    async def confirm_password(self, user_id: UUID, password: str) -> User:
        """Check the password of a signed-in user; raise `WrongPassword` if it is wrong."""
        user = await self._load_user(user_id)
        try:
            return await self.authenticate(user.email, password, "confirm_password")
        except WrongCredentials:
            raise WrongPassword from None

    async def _load_user(self, user_id: UUID) -> User:
        async with open_read_session(self.database) as session:
            return await AuthService(session).user(user_id)

    async def register(self, data: RegisterRequest) -> None:
        """Register a user. The rest happens by email.

        Whether the user exists is checked after the commit, when the email is built. Until then, everything is the
        same for every address, so neither the response nor its timing discloses it.

        Raises:
            UnusableAddress: If no email can be sent to the address.
        """
        emails.check_address(data.email)
        audit("registration_requested", account=fingerprint(data.email))
        await send(self.session, emails.registration(email=data.email, name=data.name))

    async def verify_email(self, token: str, password: str) -> User:
        """Create the user of a verified email address.

        Raises:
            InvalidMailToken: If the link is invalid or expired.
            WeakPassword: If the password is too weak. The link remains valid.
            EmailTaken: If a user with the address has been created since.
        """
        async with open_read_session(self.database) as session:
            registration = await PasswordRepository(session).registration(token)
        await self.passwords.validate_new_password(password, registration.email, registration.name)
        hashed = await self.passwords.hash(password)
        await self.repository.use_registration(token)
        user = await self.users.register(UserCreate(email=registration.email, name=registration.name))
        await self.repository.set_password(user.id, hashed)
        audit("email_verified", user_id=user.id)
        return user

    async def request_password_reset(self, email: str) -> None:
        """Send a link to choose a new password, if the user exists. As in `register`, that is checked later."""
        audit("password_reset_requested", account=fingerprint(email))
        await send(self.session, emails.reset_password(email=email, requested_at=utc_now()))

    async def reset_password(self, token: str, new: str) -> None:
        """Set a new password with the token from an email, and revoke all sessions.

        Raises:
            InvalidMailToken: If the link is invalid or expired.
            WeakPassword: If the password is too weak. The link remains valid.
        """
        async with open_read_session(self.database) as session:
            mailed = await PasswordRepository(session).get_token(token, Purpose.RESET_PASSWORD)
        user = await self._load_user(mailed.user_id)
        await self.passwords.validate_new_password(new, user.email, user.name)
        hashed = await self.passwords.hash(new)
        await self.repository.use_token(token, Purpose.RESET_PASSWORD)
        await self._store_password(user.id, hashed, keep=None)

    async def change_password(self, user_id: UUID, current: str, new: str, keep: UUID | None) -> None:
        """Replace the current password, and revoke all sessions except `keep`.

        Raises:
            WrongPassword: If the current password is wrong.
            WeakPassword: If the new password is too weak.
        """
        user = await self._load_user(user_id)
        await self.passwords.validate_new_password(new, user.email, user.name)
        hashed = await self.passwords.hash(new)
        await self.confirm_password(user_id, current)
        await self._store_password(user_id, hashed, keep)

    async def _store_password(self, user_id: UUID, password_hash: str, keep: UUID | None) -> None:
        """Store the password, revoke links and sessions, and warn the owner, in case the change was not theirs."""
        await self.repository.set_password(user_id, password_hash)
        await self.repository.delete_tokens(user_id)
        await self.auth.revoke_all_sessions(user_id, keep)
        audit("password_changed", user_id=user_id)
        await publish(self.session, PasswordChanged(user_id=user_id))
        await send(self.session, emails.PASSWORD_CHANGED.render((await self.users.get(user_id)).email))

    async def change_email(self, user_id: UUID, current: str, email: str) -> None:
        """Send a confirmation link to a new email address. The address is changed when the link is used.

        Raises:
            WrongPassword: If the password is wrong.
            UnusableAddress: If no email can be sent to the new address.
        """
        user = await self.confirm_password(user_id, current)
        emails.check_address(email)
        audit("email_change_requested", user_id=user_id, account=fingerprint(email))
        await send(
            self.session,
            emails.confirm_email(user_id=user_id, old_email=user.email, email=email, requested_at=utc_now()),
        )

    async def confirm_email(self, token: str) -> None:
        """Change the email address of a user to the confirmed new one.

        Raises:
            InvalidMailToken: If the link is invalid or expired.
            EmailTaken: If another user has the address.
        """
        mailed = await self.repository.use_token(token, Purpose.CHANGE_EMAIL)
        await self.users.update(mailed.user_id, UserUpdate(email=mailed.email), Precondition(None))

    async def delete_account(self, user_id: UUID, current: str) -> None:
        """Delete the user and all their data.

        Raises:
            WrongPassword: If the password is wrong.
        """
        await self.confirm_password(user_id, current)
        await self.users.delete(user_id, Precondition(None))
        audit("account_deleted", user_id=user_id)


async def revoke_old_address_access(session: AsyncSession, user_id: UUID, old_email: str) -> None:
    """Warn the owner at the old address, even if an administrator made the change; revoke all links and sessions."""
    await PasswordRepository(session).delete_tokens(user_id)
    await AuthService(session).revoke_all_sessions(user_id)
    audit("email_changed", user_id=user_id)
    await send(session, emails.EMAIL_CHANGED.render(old_email))
