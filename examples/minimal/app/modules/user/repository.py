"""User queries."""

from collections.abc import Sequence
from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.exceptions import ConflictError
from app.core.pagination import PageParams
from app.db.errors import map_integrity_errors
from app.db.keyset import fetch_page
from app.modules.user.models import EMAIL_UNIQUE, User


class EmailTaken(ConflictError):
    """Another user has this email address."""

    message = "There is already an account with this email address."


class UserRepository:
    """User queries."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def get(self, user_id: UUID) -> User | None:
        """Return the user with this id."""
        return await self.session.get(User, user_id)

    async def find(self, email: str) -> User | None:
        """Return the user with this email address, which must be in lower case."""
        return (await self.session.exec(select(User).where(col(User.email) == email))).one_or_none()

    async def save(self, user: User) -> User:
        """Insert or update a user.

        Raises:
            EmailTaken: If another user has the email address.
        """
        self.session.add(user)
        with map_integrity_errors({EMAIL_UNIQUE: EmailTaken}):
            await self.session.flush()
        return user

    async def delete(self, user: User) -> None:
        """Delete a user."""
        await self.session.delete(user)
        await self.session.flush()

    async def page(self, email: str | None, order: str, params: PageParams) -> tuple[Sequence[User], str | None]:
        """Return a page of users and the cursor of the next page.

        Args:
            email: Return only the user with this address, in lower case.
            order: Field to sort by, with `-` for descending order.
            params: Page size and cursor.
        """
        query = select(User)
        if email is not None:
            query = query.where(col(User.email) == email)
        return await fetch_page(self.session, query, User, order, params)
