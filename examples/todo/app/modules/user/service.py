"""Business rules for users."""

from collections.abc import Sequence
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import publish
from app.core.exceptions import NotFoundError
from app.core.pagination import PageParams
from app.core.preconditions import Precondition
from app.modules.user.events import EmailChanged, UserDeleted, UserRegistered
from app.modules.user.models import User
from app.modules.user.repository import UserRepository
from app.modules.user.schemas import UserCreate, UserOrder, UserUpdate


class UserNotFound(NotFoundError):
    """There is no user with this id."""

    message = "There is no user with this id."


class UserService:
    """Business rules for users."""

    def __init__(self, session: AsyncSession, users: UserRepository | None = None) -> None:
        self.session = session
        self.users = users or UserRepository(session)

    async def register(self, data: UserCreate) -> User:
        """Create a user.

        Raises:
            EmailTaken: If another user has the email address.
        """
        user = await self.users.save(User(**data.model_dump()))
        await publish(self.session, UserRegistered(user_id=user.id))
        return user

    async def get(self, user_id: UUID) -> User:
        """Return a user.

        Raises:
            UserNotFound: If there is no user with this id.
        """
        if user := await self.users.get(user_id):
            return user
        raise UserNotFound

    async def find(self, email: str) -> User | None:
        """Return the user with this email address, ignoring case."""
        return await self.users.find(email.strip().lower())

    async def page(self, email: str | None, order: UserOrder, params: PageParams) -> tuple[Sequence[User], str | None]:
        """Return a page of users and the cursor of the next page."""
        return await self.users.page(email, order, params)

    async def update(self, user_id: UUID, data: UserUpdate, precondition: Precondition) -> User:
        """Update a user.

        Raises:
            UserNotFound: If there is no user with this id.
            PreconditionFailedError: If the user has changed since the client read it.
            EmailTaken: If another user has the new email address.
        """
        user = await self.get(user_id)
        precondition.check(user)
        old_email = user.email
        user.sqlmodel_update(data.model_dump(exclude_unset=True))
        await self.users.save(user)
        if user.email != old_email:
            await publish(self.session, EmailChanged(user_id=user.id, old_email=old_email))
        return user

    async def delete(self, user_id: UUID, precondition: Precondition) -> None:
        """Delete a user and all their data.

        Raises:
            UserNotFound: If there is no user with this id.
            PreconditionFailedError: If the user has changed since the client read it.
        """
        user = await self.get(user_id)
        precondition.check(user)
        await self.users.delete(user)
        await publish(self.session, UserDeleted(user_id=user_id))
