"""Queries for passwords, registrations, and emailed tokens."""

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

REGISTRATION_LIFETIME = timedelta(days=1)
TOKEN_LIFETIMES = {Purpose.RESET_PASSWORD: timedelta(minutes=30), Purpose.CHANGE_EMAIL: timedelta(days=1)}


class InvalidMailToken(InvalidError):
    """The link was used before, has expired, or was never sent."""

    message = "This link is invalid, expired, or was already used. Request a new one."


class PasswordRepository:
    """Queries for passwords, registrations, and emailed tokens.

    Methods with the secret of a link raise `InvalidMailToken` if the link is invalid, expired, or was already used.
    """

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def find(self, email: str) -> tuple[User, PasswordHash] | None:
        """Return the user with this email address and their password hash, if they have one."""
        query = select(User, PasswordHash).join(PasswordHash, col(PasswordHash.user_id) == col(User.id))
        return (await self.session.exec(query.where(col(User.email) == email))).one_or_none()

    async def get(self, user_id: UUID) -> PasswordHash | None:
        """Return the password hash of a user."""
        return await self.session.get(PasswordHash, user_id)

    async def set_password(self, user_id: UUID, password_hash: str) -> None:
        """Set or replace the password hash of a user."""
        await self.session.merge(PasswordHash(user_id=user_id, hash=password_hash, changed_at=utc_now()))
        await self.session.flush()

    async def add_registration(self, email: str, name: str) -> str:
        """Store a registration; return the secret for its verification link."""
        secret, expires_at = new_secret(), utc_now() + REGISTRATION_LIFETIME
        self.session.add(Registration(digest=digest(secret), email=email, name=name, expires_at=expires_at))
        await self.session.flush()
        return secret

    async def add_token(self, user_id: UUID, purpose: Purpose, email: str) -> str:
        """Store a token; return the secret for the link in the email."""
        secret, expires_at = new_secret(), utc_now() + TOKEN_LIFETIMES[purpose]
        token = MailedToken(digest=digest(secret), user_id=user_id, purpose=purpose, email=email, expires_at=expires_at)
        self.session.add(token)
        await self.session.flush()
        return secret

    async def lock_account(self, user_id: UUID) -> None:
        """Lock the password and the links of a user until the commit.

        Every change to them takes this lock first, so that two changes cannot deadlock.
        """
        await self.session.exec(select(User.id).where(col(User.id) == user_id).with_for_update(key_share=True))

    async def registration(self, secret: str) -> Registration:
        """Return a registration without using it."""
        query = select(Registration).where(*_is_valid(Registration, secret))
        if registration := (await self.session.exec(query)).one_or_none():
            return registration
        raise InvalidMailToken

    async def use_registration(self, secret: str) -> Registration:
        """Delete and return a registration. Of concurrent calls, exactly one succeeds."""
        query = delete(Registration).where(*_is_valid(Registration, secret))
        if registration := (await self.session.exec(query.returning(Registration))).scalar_one_or_none():
            return registration
        raise InvalidMailToken

    async def get_token(self, secret: str, purpose: Purpose) -> MailedToken:
        """Return an emailed token without using it."""
        query = select(MailedToken).where(*_is_valid(MailedToken, secret), col(MailedToken.purpose) == purpose)
        if token := (await self.session.exec(query)).one_or_none():
            return token
        raise InvalidMailToken

    async def use_token(self, secret: str, purpose: Purpose) -> MailedToken:
        """Use an emailed token; this deletes all tokens of its user."""
        await self.lock_account((await self.get_token(secret, purpose)).user_id)
        token = await self.get_token(secret, purpose)
        await self.delete_tokens(token.user_id)
        return token

    async def delete_tokens(self, user_id: UUID) -> None:
        """Delete all emailed tokens of a user."""
        await self.session.exec(delete(MailedToken).where(col(MailedToken.user_id) == user_id))


def _is_valid(table: type[MailedToken | Registration], secret: str) -> tuple[ColumnElement[bool], ...]:
    return col(table.digest) == digest(secret), col(table.expires_at) > utc_now()
