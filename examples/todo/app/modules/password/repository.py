"""How passwords, registrations and mailed tokens are found and kept."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.exceptions import InvalidError
from app.db.base import utc_now
from app.modules.password.models import MailedToken, PasswordHash, Purpose, Registration
from app.modules.user.models import User
from app.security.secrets import digest, new_secret

REGISTRATION_LASTS = timedelta(days=1)
TOKENS_LAST = {Purpose.RESET_PASSWORD: timedelta(minutes=30), Purpose.CHANGE_EMAIL: timedelta(days=1)}


class InvalidMailToken(InvalidError):
    """The link was used before, is too old, or was never sent."""

    message = "This link has been used or has expired. Ask for a new one."


class PasswordRepository:
    """The passwords in the database."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the transaction of `session`."""
        self.session = session

    async def find(self, email: str) -> tuple[User, PasswordHash] | None:
        """Find an account that has a password, by address."""
        query = select(User, PasswordHash).join(PasswordHash, col(PasswordHash.user_id) == col(User.id))
        return (await self.session.exec(query.where(col(User.email) == email))).one_or_none()

    async def get(self, user_id: UUID) -> PasswordHash | None:
        """Find the password of an account."""
        return await self.session.get(PasswordHash, user_id)

    async def put(self, user_id: UUID, password_hash: str) -> None:
        """Store the password of an account, in place of the one before."""
        await self.session.merge(PasswordHash(user_id=user_id, hash=password_hash, changed_at=utc_now()))
        await self.session.flush()

    async def add_registration(self, email: str, name: str) -> str:
        """Keep a registration, and return the secret that opens the account."""
        secret, lasts = new_secret(), REGISTRATION_LASTS
        self.session.add(Registration(digest=digest(secret), email=email, name=name, expires_at=utc_now() + lasts))
        await self.session.flush()
        return secret

    async def add_token(self, user_id: UUID, purpose: Purpose, email: str) -> str:
        """Keep a token for a mail, and return the secret to be mailed."""
        secret, expires_at = new_secret(), utc_now() + TOKENS_LAST[purpose]
        token = MailedToken(digest=digest(secret), user_id=user_id, purpose=purpose, email=email, expires_at=expires_at)
        self.session.add(token)
        await self.session.flush()
        return secret

    async def lock(self, user_id: UUID) -> None:
        """Let nobody else change the password or the links of an account until the commit.

        Whatever changes them begins with this, so two of them never wait for each other.
        """
        await self.session.exec(select(User.id).where(col(User.id) == user_id).with_for_update(key_share=True))

    async def registration(self, secret: str) -> Registration:
        """Find a registration without using it up.

        Raises:
            InvalidMailToken: If there is none, or no longer.
        """
        query = select(Registration).where(*_good(Registration, secret))
        if registration := (await self.session.exec(query)).one_or_none():
            return registration
        raise InvalidMailToken

    async def take_registration(self, secret: str) -> Registration:
        """Remove a registration, and return it. Of two at once only one gets it.

        Raises:
            InvalidMailToken: If there is none, or no longer.
        """
        query = delete(Registration).where(*_good(Registration, secret))
        if taken := (await self.session.exec(query.returning(Registration))).scalar_one_or_none():
            return taken
        raise InvalidMailToken

    async def look_at(self, secret: str, purpose: Purpose) -> MailedToken:
        """Find a mailed token without using it up.

        Raises:
            InvalidMailToken: If there is none, or no longer.
        """
        query = select(MailedToken).where(*_good(MailedToken, secret), col(MailedToken.purpose) == purpose)
        if token := (await self.session.exec(query)).one_or_none():
            return token
        raise InvalidMailToken

    async def take(self, secret: str, purpose: Purpose) -> MailedToken:
        """Use up a mailed token, and with it all others of its account.

        Raises:
            InvalidMailToken: If there is none, or no longer.
        """
        await self.lock((await self.look_at(secret, purpose)).user_id)
        token = await self.look_at(secret, purpose)
        await self.forget(token.user_id)
        return token

    async def forget(self, user_id: UUID) -> None:
        """Make all tokens of an account useless."""
        await self.session.exec(delete(MailedToken).where(col(MailedToken.user_id) == user_id))


def _good(table: type[MailedToken | Registration], secret: str) -> tuple[ColumnElement[bool], ...]:
    return col(table.digest) == digest(secret), col(table.expires_at) > utc_now()
