"""What can be done with users."""

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
    """No account has this id."""

    message = "There is no user with this id."


class UserService:
    """The rules about accounts."""

    def __init__(self, session: AsyncSession, users: UserRepository | None = None) -> None:
        """Work inside the transaction of `session`; tests may bring a repository of their own."""
        self.session = session
        self.users = users or UserRepository(session)

    async def register(self, data: UserCreate) -> User:
        """Open an account.

        Raises:
            EmailTaken: If there is one with this address.
        """
        user = await self.users.save(User(**data.model_dump()))
        await publish(self.session, UserRegistered(user_id=user.id))
        return user

    async def get(self, user_id: UUID) -> User:
        """Find an account.

        Raises:
            UserNotFound: If there is none.
        """
        if user := await self.users.get(user_id):
            return user
        raise UserNotFound

    async def find(self, email: str) -> User | None:
        """Find the account with an address, whatever its case."""
        return await self.users.find(email.strip().lower())

    async def page(self, email: str | None, order: UserOrder, params: PageParams) -> tuple[Sequence[User], str | None]:
        """List accounts page by page."""
        return await self.users.page(email, order, params)

    async def update(self, user_id: UUID, data: UserUpdate, precondition: Precondition) -> User:
        """Change an account.

        Raises:
            UserNotFound: If there is none.
            PreconditionFailedError: If it has changed since the client saw it.
            EmailTaken: If another one has the new address.
        """
        user = await self.get(user_id)
        precondition.check(user)
        former = user.email
        user.sqlmodel_update(data.model_dump(exclude_unset=True))
        await self.users.save(user)
        if user.email != former:
            await publish(self.session, EmailChanged(user_id=user.id, former=former))
        return user

    async def delete(self, user_id: UUID, precondition: Precondition) -> None:
        """Close an account, and delete what belongs to it.

        Raises:
            UserNotFound: If there is none.
            PreconditionFailedError: If it has changed since the client saw it.
        """
        user = await self.get(user_id)
        precondition.check(user)
        await self.users.delete(user)
        await publish(self.session, UserDeleted(user_id=user_id))
