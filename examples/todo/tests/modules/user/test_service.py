"""Business rules for users, with a dictionary instead of the database."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import Event
from app.core.exceptions import PreconditionFailedError
from app.core.pagination import PageParams
from app.core.preconditions import Precondition
from app.modules.user.events import EmailChanged, UserDeleted, UserRegistered
from app.modules.user.models import User
from app.modules.user.repository import UserRepository
from app.modules.user.schemas import UserOrder, UserUpdate
from app.modules.user.service import UserNotFound, UserService
from tests.factories import UserCreateFactory


class InMemoryUserRepository(UserRepository):
    def __init__(self) -> None:
        self.users: dict[UUID, User] = {}

    async def get(self, user_id: UUID) -> User | None:
        return self.users.get(user_id)

    async def find(self, email: str) -> User | None:
        return next((user for user in self.users.values() if user.email == email), None)

    async def save(self, user: User) -> User:
        self.users[user.id] = user
        return user

    async def delete(self, user: User) -> None:
        del self.users[user.id]

    async def page(self, email: str | None, order: str, params: PageParams) -> tuple[Sequence[User], str | None]:
        return list(self.users.values()), None


@pytest.fixture
def service() -> UserService:
    return UserService(AsyncSession(), InMemoryUserRepository())


async def test_register_publishes_event(service: UserService, captured_events: list[Event]) -> None:
    user = await service.register(UserCreateFactory.build())

    assert await service.get(user.id) is user
    assert await service.page(None, UserOrder.EMAIL, PageParams()) == ([user], None)
    assert [event.user_id for event in captured_events if isinstance(event, UserRegistered)] == [user.id]


async def test_delete_publishes_event(service: UserService, captured_events: list[Event]) -> None:
    user = await service.register(UserCreateFactory.build())
    await service.delete(user.id, Precondition(None))

    assert isinstance(captured_events[-1], UserDeleted)
    with pytest.raises(UserNotFound):
        await service.get(user.id)


async def test_unknown_user_is_not_found(service: UserService, captured_events: list[Event]) -> None:
    with pytest.raises(UserNotFound):
        await service.update(uuid4(), UserUpdate(name="Ada"), Precondition(None))
    with pytest.raises(UserNotFound):
        await service.delete(uuid4(), Precondition(None))
    assert captured_events == []


async def test_update_requires_current_version(service: UserService, captured_events: list[Event]) -> None:
    user = await service.register(UserCreateFactory.build(name="Ada"))

    with pytest.raises(PreconditionFailedError):
        await service.update(user.id, UserUpdate(name="Eve"), Precondition('"7"'))
    assert user.name == "Ada"
    await service.update(user.id, UserUpdate(name="Ada Lovelace"), Precondition('"7", "1"'))
    assert user.name == "Ada Lovelace"


async def test_find_ignores_case_of_email(service: UserService, captured_events: list[Event]) -> None:
    user = await service.register(UserCreateFactory.build(email="ada@example.com"))

    assert await service.find(" Ada@Example.com ") is user
    assert await service.find("bob@example.com") is None


async def test_email_change_event_contains_old_address(service: UserService, captured_events: list[Event]) -> None:
    user = await service.register(UserCreateFactory.build(email="ada@example.com"))
    await service.update(user.id, UserUpdate(name="Ada"), Precondition(None))
    await service.update(user.id, UserUpdate(email="countess@example.com"), Precondition(None))

    assert [(event.user_id, event.old_email) for event in captured_events if isinstance(event, EmailChanged)] == [
        (user.id, "ada@example.com")
    ]
