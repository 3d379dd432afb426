"""Feed queries, on the real database."""

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from app.modules.feed.repository import FeedRepository
from app.modules.todo.models import Todo
from app.modules.user.models import User


@pytest.fixture
async def owner(session: AsyncSession) -> User:
    owner = User(email="ada@example.com", name="Ada")
    session.add(owner)
    await session.flush()
    return owner


async def test_changes_contain_current_state_of_todo(session: AsyncSession, owner: User) -> None:
    feed = FeedRepository(session)
    todo = Todo(owner_id=owner.id, title="Buy milk")
    session.add(todo)
    await session.flush()
    await feed.add_change(owner.id, todo.id, "created")

    assert await feed.last_change(owner.id) == 1
    [(change, seen)] = await feed.changes(owner.id, after=0)
    assert (change.number, change.kind, seen) == (1, "created", todo)


async def test_old_changes_are_deleted(session: AsyncSession, owner: User) -> None:
    feed = FeedRepository(session)
    for _ in range(5):
        await feed.add_change(owner.id, owner.id, "changed", max_changes=2, prune_interval=2)

    assert [change.number for change, _ in await feed.changes(owner.id, after=0)] == [3, 4, 5]
