"""User queries, on the real database."""

from datetime import UTC, datetime

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.pagination import InvalidCursor, PageParams
from app.modules.user.models import User
from app.modules.user.repository import EmailTaken, UserRepository


@pytest.fixture
def users(session: AsyncSession) -> UserRepository:
    return UserRepository(session)


async def test_saved_user_is_found(users: UserRepository) -> None:
    ada = await users.save(User(email="ada@example.com", name="Ada"))

    assert await users.get(ada.id) is ada
    assert await users.find("ada@example.com") is ada
    assert await users.find("bob@example.com") is None


async def test_email_is_unique(users: UserRepository) -> None:
    await users.save(User(email="ada@example.com", name="Ada"))

    with pytest.raises(EmailTaken):
        await users.save(User(email="ada@example.com", name="Another"))


async def test_ties_are_ordered_by_id(users: UserRepository) -> None:
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    saved = [await users.save(User(email=f"{n}@example.com", name="Ada", created_at=moment)) for n in range(4)]

    first, cursor = await users.page(None, "created_at", PageParams(limit=2))
    second, end = await users.page(None, "created_at", PageParams(limit=2, cursor=cursor))

    assert [user.id for user in (*first, *second)] == sorted(user.id for user in saved)
    assert end is None


async def test_cursor_is_rejected_for_another_order(users: UserRepository) -> None:
    for n in range(2):
        await users.save(User(email=f"{n}@example.com", name="Ada"))
    _, cursor = await users.page(None, "email", PageParams(limit=1))

    with pytest.raises(InvalidCursor):
        await users.page(None, "-email", PageParams(limit=1, cursor=cursor))


async def test_deleted_user_is_not_found(users: UserRepository) -> None:
    ada = await users.save(User(email="ada@example.com", name="Ada"))
    await users.delete(ada)

    assert await users.get(ada.id) is None
