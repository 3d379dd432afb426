"""How passwords, registrations and mailed tokens are found and kept."""

from uuid import UUID

from sqlalchemy import ColumnElement
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.exceptions import InvalidError
from app.db.base import utc_now
from app.modules.password.models import MailedToken, PasswordHash, Purpose, Registration
from app.modules.user.models import User


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

    async def add(self, thing: Registration | MailedToken) -> None:
        """Keep a registration or a mailed token."""
        self.session.add(thing)
        await self.session.flush()

    async def registration(self, registration_id: UUID) -> Registration:
        """Read a registration that exists."""
        return await self.session.get_one(Registration, registration_id)

    async def take_registration(self, digest: str) -> Registration:
        """Remove a registration, and return it. Of two at once only one gets it.

        Raises:
            InvalidMailToken: If there is none, or no longer.
        """
        query = delete(Registration).where(col(Registration.digest) == digest, col(Registration.expires_at) > utc_now())
        if taken := (await self.session.exec(query.returning(Registration))).scalar_one_or_none():
            return taken
        raise InvalidMailToken

    async def look_at(self, digest: str, purpose: Purpose) -> MailedToken:
        """Find a mailed token without using it up.

        Raises:
            InvalidMailToken: If there is none, or no longer.
        """
        query = select(MailedToken).where(*_valid(digest, purpose))
        if token := (await self.session.exec(query)).one_or_none():
            return token
        raise InvalidMailToken

    async def take(self, digest: str, purpose: Purpose) -> MailedToken:
        """Use up a mailed token, and with it all others of its account and purpose.

        Raises:
            InvalidMailToken: If there is none, or no longer.
        """
        query = delete(MailedToken).where(*_valid(digest, purpose)).returning(MailedToken)
        if token := (await self.session.exec(query)).scalar_one_or_none():
            await self.forget(token.user_id, purpose)
            return token
        raise InvalidMailToken

    async def forget(self, user_id: UUID, purpose: Purpose) -> None:
        """Make all tokens of an account for a purpose useless."""
        mine = (col(MailedToken.user_id) == user_id, col(MailedToken.purpose) == purpose)
        await self.session.exec(delete(MailedToken).where(*mine))


def _valid(digest: str, purpose: Purpose) -> tuple[ColumnElement[bool], ...]:
    return (
        col(MailedToken.digest) == digest,
        col(MailedToken.purpose) == purpose,
        col(MailedToken.expires_at) > utc_now(),
    )
