"""The rules about sessions and roles, on the real database."""

from uuid import uuid4

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.preconditions import Precondition
from app.modules.auth.models import Role
from app.modules.auth.repository import UserGone
from app.modules.auth.schemas import MeUpdate
from app.modules.auth.service import AuthService, InvalidScope
from app.modules.user.models import User
from app.modules.user.service import UserService
from app.security.principal import Device
from tests.factories import UserCreateFactory

HERE = Device(client="tests", address="127.0.0.1")


@pytest.fixture
async def user(session: AsyncSession) -> User:
    return await UserService(session).register(UserCreateFactory.build())


@pytest.fixture
def auth(session: AsyncSession) -> AuthService:
    return AuthService(session)


async def test_a_session_allows_what_was_asked_for_and_is_still_allowed(auth: AuthService, user: User) -> None:
    await auth.grant(user.id, Role.ADMIN)
    everything = await auth.start(user.id, HERE)
    reading = await auth.start(user.id, HERE, frozenset({"read", "unknown"}))
    assert await auth.scopes_of(everything) == {"read", "write", "admin"}
    assert await auth.scopes_of(reading) == {"read"}

    await auth.withdraw(user.id, Role.ADMIN)
    assert await auth.scopes_of(everything) == {"read", "write"}
    with pytest.raises(InvalidScope):
        await auth.start(user.id, HERE, frozenset({"admin"}))


async def test_a_role_can_be_given_twice(auth: AuthService, user: User) -> None:
    for _ in range(2):
        await auth.grant(user.id, Role.ADMIN)

    assert "admin" in await auth.scopes(user.id)


async def test_whoever_is_gone_can_do_nothing(auth: AuthService) -> None:
    with pytest.raises(UserGone):
        await auth.update(uuid4(), MeUpdate(name="Ada"), Precondition(None))
    assert await auth.scopes(uuid4()) == {"read", "write"}


async def test_one_session_can_be_kept_when_all_end(auth: AuthService, user: User) -> None:
    kept, _ = await auth.start(user.id, HERE), await auth.start(user.id, HERE)
    await auth.end_all(user.id, keep=kept.id)

    assert [login.id for login in await auth.sessions(user.id)] == [kept.id]
