"""Business rules for sessions and roles, on the real database."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import Event
from app.core.preconditions import Precondition
from app.modules.auth.events import SignedOut
from app.modules.auth.models import Role
from app.modules.auth.repository import UserGone
from app.modules.auth.schemas import MeUpdate
from app.modules.auth.service import AuthService, InvalidScope
from app.modules.user.models import User
from app.modules.user.service import UserService
from app.security.principal import Device
from tests.factories import UserCreateFactory

DEVICE = Device(client="tests", address="127.0.0.1")
LIFETIME = timedelta(days=14)


@pytest.fixture
async def user(session: AsyncSession) -> User:
    return await UserService(session).register(UserCreateFactory.build())


@pytest.fixture
def auth(session: AsyncSession) -> AuthService:
    return AuthService(session)


async def test_session_scopes_are_limited_to_current_scopes_of_user(auth: AuthService, user: User) -> None:
    await auth.grant_role(user.id, Role.ADMIN)
    everything = await auth.start_session(user.id, DEVICE, LIFETIME)
    reading = await auth.start_session(user.id, DEVICE, LIFETIME, frozenset({"read", "unknown"}))
    assert await auth.session_scopes(everything) == {"read", "write", "admin"}
    assert await auth.session_scopes(reading) == {"read"}

    await auth.revoke_role(user.id, Role.ADMIN)
    assert await auth.session_scopes(everything) == {"read", "write"}
    with pytest.raises(InvalidScope):
        await auth.start_session(user.id, DEVICE, LIFETIME, frozenset({"admin"}))


async def test_granting_a_role_is_idempotent(auth: AuthService, user: User) -> None:
    for _ in range(2):
        await auth.grant_role(user.id, Role.ADMIN)

    assert "admin" in await auth.scopes(user.id)


async def test_deleted_user_is_rejected(auth: AuthService) -> None:
    with pytest.raises(UserGone):
        await auth.update(uuid4(), MeUpdate(name="Ada"), Precondition(None))
    assert await auth.scopes(uuid4()) == {"read", "write"}


async def test_revoking_all_sessions_can_keep_one(auth: AuthService, user: User, captured_events: list[Event]) -> None:
    kept, _ = [await auth.start_session(user.id, DEVICE, LIFETIME) for _ in range(2)]
    await auth.revoke_all_sessions(user.id, keep=kept.id)

    assert [login.id for login in await auth.sessions(user.id)] == [kept.id]
    signed_out = captured_events[-1]
    assert isinstance(signed_out, SignedOut)
    assert (signed_out.session_id, signed_out.kept_session_id) == (None, kept.id)
