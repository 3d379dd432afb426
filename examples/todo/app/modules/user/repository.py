"""How users are found and kept."""

from collections.abc import Sequence
from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.exceptions import ConflictError
from app.core.pagination import PageParams
from app.db.errors import translating
from app.db.keyset import fetch_page
from app.modules.user.models import EMAIL_UNIQUE, User


class EmailTaken(ConflictError):
    """Somebody else has this address."""

    message = "There is already an account with this e-mail address."


class UserRepository:
    """The accounts in the database."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the transaction of `session`."""
        self.session = session

    async def get(self, user_id: UUID) -> User | None:
        """Find a user by id."""
        return await self.session.get(User, user_id)

    async def find(self, email: str) -> User | None:
        """Find a user by address."""
        return (await self.session.exec(select(User).where(col(User.email) == email))).one_or_none()

    async def save(self, user: User) -> User:
        """Write a new or changed user.

        Raises:
            EmailTaken: If another user has the address.
        """
        self.session.add(user)
        with translating({EMAIL_UNIQUE: EmailTaken}):
            await self.session.flush()
        return user

    async def delete(self, user: User) -> None:
        """Remove a user."""
        await self.session.delete(user)
        await self.session.flush()

    async def page(self, email: str | None, order: str, params: PageParams) -> tuple[Sequence[User], str | None]:
        """List users page by page, all of them or the one with an address."""
        query = select(User)
        if email is not None:
            query = query.where(col(User.email) == email)
        return await fetch_page(self.session, query, User, order, params)
