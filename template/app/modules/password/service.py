"""What can be done with accounts that have a password.

Hashing takes long. It is always done before the transaction begins to write: what it needs is
read in a transaction of its own, and looked at again afterwards.
"""

from datetime import timedelta
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import publish, subscribe
from app.core.exceptions import ForbiddenError, UnauthenticatedError
from app.core.preconditions import Precondition
from app.db.base import utc_now
from app.db.session import Database, brief_read
from app.jwt.passwords import Passwords
from app.mail import send_after_commit
from app.modules.auth.service import AuthService
from app.modules.password import mails
from app.modules.password.events import (
    EmailChangeRequested,
    PasswordChanged,
    PasswordResetRequested,
    RegistrationRepeated,
    RegistrationRequested,
)
from app.modules.password.models import MailedToken, Purpose, Registration
from app.modules.password.repository import InvalidMailToken, PasswordRepository
from app.modules.password.schemas import RegisterRequest
from app.modules.user.models import User
from app.modules.user.schemas import UserCreate, UserUpdate
from app.modules.user.service import UserService
from app.security.audit import audit, fingerprint
from app.security.secrets import digest, new_secret

REGISTRATION_LASTS = timedelta(days=1)
LIFETIMES = {Purpose.RESET_PASSWORD: timedelta(minutes=30), Purpose.CHANGE_EMAIL: timedelta(days=1)}


class WrongCredentials(UnauthenticatedError):
    """The address or the password is wrong; which of them is nobody's business."""

    message = "The e-mail address or the password is wrong."


class WrongPassword(ForbiddenError):
    """Somebody who is signed in does not know the password."""

    message = "The password is wrong."


class PasswordService:
    """The rules about passwords."""

    def __init__(
        self,
        session: AsyncSession,
        database: Database,
        passwords: Passwords,
        repository: PasswordRepository | None = None,
    ) -> None:
        """Work inside the transaction of `session`, and look things up beforehand in `database`."""
        self.session = session
        self.database = database
        self.passwords = passwords
        self.repository = repository or PasswordRepository(session)
        self.users = UserService(session)
        self.auth = AuthService(session)

    async def authenticate(self, email: str, password: str) -> User:
        """Find the account that an address and a password belong to. It takes as long if there is none.

        Raises:
            WrongCredentials: If they do not belong together.
        """
        async with brief_read(self.database) as session:
            found = await PasswordRepository(session).find(email.strip().lower())
        user, stored = found or (None, None)
        right, renewed = await self.passwords.verify(password, stored.hash if stored else None)
        if user is None or stored is None or not right or not await self._still(user.id, stored.hash, renewed):
            audit("login", user_id=user.id if user else None, outcome="wrong_credentials", account=fingerprint(email))
            raise WrongCredentials
        return user

    async def _still(self, user_id: UUID, seen: str, renewed: str | None) -> bool:
        """Look whether the password is the one that was seen, and renew its hash if it is an outdated kind."""
        stored = await self.repository.get(user_id)
        if stored is None or stored.hash != seen:
            return False
        if renewed is not None:
            stored.hash = renewed
        return True

    async def confirm(self, user_id: UUID, password: str) -> User:
        """Let whoever is signed in prove that they know the password.

        Raises:
            WrongPassword: If they do not.
        """
        user = await self._look_up(user_id)
        try:
            return await self.authenticate(user.email, password)
        except WrongCredentials:
            raise WrongPassword from None

    async def _look_up(self, user_id: UUID) -> User:
        async with brief_read(self.database) as session:
            return await AuthService(session).user(user_id)

    async def register(self, data: RegisterRequest, password_hash: str) -> None:
        """Note that somebody wants an account, and write to them. Nothing tells whether they have one."""
        if user := await self.users.find(data.email):
            audit("register", user_id=user.id, outcome="account_exists")
            await publish(self.session, RegistrationRepeated(user_id=user.id))
            return
        registration = Registration(
            email=data.email, name=data.name, password_hash=password_hash, expires_at=utc_now() + REGISTRATION_LASTS
        )
        await self.repository.add(registration)
        audit("register", account=fingerprint(data.email))
        await publish(self.session, RegistrationRequested(registration_id=registration.id))

    async def verify_email(self, token: str) -> User:
        """Open the account, now that the address is proven.

        Raises:
            InvalidMailToken: If the link is no longer good.
            EmailTaken: If the address has got an account since.
        """
        wanted = await self.repository.take_registration(digest(token))
        user = await self.users.register(UserCreate(email=wanted.email, name=wanted.name))
        await self.repository.put(user.id, wanted.password_hash)
        audit("email_verified", user_id=user.id)
        return user

    async def forgot(self, email: str) -> None:
        """Send a link to choose a new password, if there is such an account."""
        user = await self.users.find(email)
        audit("password_forgotten", user_id=user.id if user else None, account=fingerprint(email))
        if user:
            await publish(self.session, PasswordResetRequested(user_id=user.id))

    async def reset(self, token: str, new: str) -> None:
        """Set a new password for whoever has got the mail, and sign out everywhere.

        Raises:
            InvalidMailToken: If the link is no longer good.
            WeakPassword: If the password is too easy; the link stays good.
        """
        async with brief_read(self.database) as session:
            mailed = await PasswordRepository(session).look_at(digest(token), Purpose.RESET_PASSWORD)
        user = await self._look_up(mailed.user_id)
        if user.email != mailed.email:
            raise InvalidMailToken  # An administrator has changed the address since.
        await self.passwords.check(new, user.email, user.name)
        hashed = await self.passwords.hash(new)
        await self.repository.take(digest(token), Purpose.RESET_PASSWORD)
        await self._put(user.id, hashed, keep=None)

    async def change(self, user_id: UUID, current: str, new: str, keep: UUID | None) -> None:
        """Set a new password for whoever knows the old one, and sign out everywhere else.

        Raises:
            WrongPassword: If the old one is wrong.
            WeakPassword: If the new one is too easy.
        """
        user = await self._look_up(user_id)
        await self.passwords.check(new, user.email, user.name)
        hashed = await self.passwords.hash(new)
        await self.confirm(user_id, current)
        await self._put(user_id, hashed, keep)

    async def _put(self, user_id: UUID, password_hash: str, keep: UUID | None) -> None:
        await self.repository.put(user_id, password_hash)
        await self.repository.forget(user_id, Purpose.RESET_PASSWORD)
        await self.auth.end_all(user_id, keep)
        audit("password_changed", user_id=user_id)
        await publish(self.session, PasswordChanged(user_id=user_id))

    async def change_email(self, user_id: UUID, current: str, email: str) -> None:
        """Write to a new address, which becomes the account's when it is proven.

        Raises:
            WrongPassword: If the password is wrong.
        """
        await self.confirm(user_id, current)
        await publish(self.session, EmailChangeRequested(user_id=user_id, email=email))

    async def confirm_email(self, token: str) -> None:
        """Use a new address, now that it is proven.

        Raises:
            InvalidMailToken: If the link is no longer good.
            EmailTaken: If somebody else has got the address.
        """
        mailed = await self.repository.take(digest(token), Purpose.CHANGE_EMAIL)
        await self.users.update(mailed.user_id, UserUpdate(email=mailed.email), Precondition(None))
        await self.repository.forget(mailed.user_id, Purpose.RESET_PASSWORD)
        audit("email_changed", user_id=mailed.user_id)

    async def delete_account(self, user_id: UUID, current: str) -> None:
        """Close the account, and delete what belongs to it.

        Raises:
            WrongPassword: If the password is wrong.
        """
        await self.confirm(user_id, current)
        await self.users.delete(user_id, Precondition(None))
        audit("account_closed", user_id=user_id)


@subscribe(RegistrationRequested)
async def mail_verification(session: AsyncSession, event: RegistrationRequested) -> None:
    """Send the link that proves the address."""
    registration, secret = await PasswordRepository(session).registration(event.registration_id), new_secret()
    registration.digest = digest(secret)
    send_after_commit(session, mails.verify_email(registration.email, secret))


@subscribe(RegistrationRepeated)
async def mail_that_there_is_an_account(session: AsyncSession, event: RegistrationRepeated) -> None:
    """Tell the owner instead of whoever asks."""
    user = await UserService(session).get(event.user_id)
    send_after_commit(session, mails.account_exists(user.email))


@subscribe(PasswordResetRequested)
async def mail_reset_link(session: AsyncSession, event: PasswordResetRequested) -> None:
    """Send the link to choose a new password."""
    user = await UserService(session).get(event.user_id)
    secret = await _mint(session, user.id, Purpose.RESET_PASSWORD, user.email)
    send_after_commit(session, mails.reset_password(user.email, secret))


@subscribe(EmailChangeRequested)
async def mail_confirmation(session: AsyncSession, event: EmailChangeRequested) -> None:
    """Send the link that proves the new address."""
    secret = await _mint(session, event.user_id, Purpose.CHANGE_EMAIL, event.email)
    send_after_commit(session, mails.confirm_email(event.email, secret))


@subscribe(PasswordChanged)
async def mail_warning(session: AsyncSession, event: PasswordChanged) -> None:
    """Tell the owner, in case it was somebody else."""
    user = await UserService(session).get(event.user_id)
    send_after_commit(session, mails.password_changed(user.email))


async def _mint(session: AsyncSession, user_id: UUID, purpose: Purpose, email: str) -> str:
    secret = new_secret()
    token = MailedToken(
        digest=digest(secret), user_id=user_id, purpose=purpose, email=email, expires_at=utc_now() + LIFETIMES[purpose]
    )
    await PasswordRepository(session).add(token)
    return secret
