"""Business rules for the feed."""

from uuid import UUID

import pytest
from sqlmodel import col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.exceptions import NotFoundError
from app.core.preconditions import Precondition
from app.db.session import Database
from app.modules.feed.models import TodoChange
from app.modules.feed.repository import MAX_STORED_CHANGES
from app.modules.feed.service import FeedPosition, FeedService, stream_changes
from app.modules.feed.subscribers import record_change
from app.modules.todo.events import TodoChanged
from app.modules.todo.models import TodoStatus
from app.modules.todo.schemas import TodoCreate, TodoUpdate
from app.modules.todo.service import TodoService
from app.modules.user.models import User


@pytest.fixture
async def owner_id(session: AsyncSession) -> UUID:
    owner = User(email="ada@example.com", name="Ada")
    session.add(owner)
    await session.commit()
    return owner.id


async def test_each_change_is_recorded_once(session: AsyncSession, owner_id: UUID) -> None:
    todos = TodoService(session, owner_id)
    todo = await todos.create(TodoCreate(title="Buy milk"))
    for status in (TodoStatus.OPEN, TodoStatus.DONE):  # the first changes nothing, the second publishes two events
        await todos.update(todo.id, TodoUpdate(status=status), Precondition(None))
    await todos.delete(todo.id, Precondition(None))

    recorded = await FeedService(session, owner_id).changes(after=0)
    assert [(change.number, change.kind) for change, _ in recorded] == [(1, "created"), (2, "changed"), (3, "deleted")]


async def test_position_is_latest_change_if_changes_were_missed(session: AsyncSession, owner_id: UUID) -> None:
    feed = FeedService(session, owner_id)
    await record_changes(session, owner_id, 2)

    assert await feed.position(None) == FeedPosition(after=2)
    assert await feed.position(1) == FeedPosition(after=1)
    assert await feed.position(3) == FeedPosition(after=2, missed=True)
    assert await feed.position(2 - MAX_STORED_CHANGES - 1) == FeedPosition(after=2, missed=True)


async def test_position_of_unknown_owner_is_not_found(session: AsyncSession) -> None:
    with pytest.raises(NotFoundError):
        await FeedService(session, UUID(int=0)).position(None)


async def test_backlog_is_sent_without_pause(session: AsyncSession, owner_id: UUID, database: Database) -> None:
    await record_changes(session, owner_id, 5)
    await session.commit()
    seen: list[int | str] = []

    async def pause() -> None:
        seen.append("pause")

    stream = stream_changes(database, owner_id, 0, lambda: "pause" not in seen, pause, page_size=2)
    async for change, _ in stream:
        seen.append(change.number)

    assert seen == [1, 2, 3, 4, 5, "pause"]


async def test_stream_ends_where_changes_are_missing(session: AsyncSession, owner_id: UUID, database: Database) -> None:
    await record_changes(session, owner_id, 3)
    await session.exec(delete(TodoChange).where(col(TodoChange.number) == 2))
    await session.commit()

    async def pause() -> None:
        raise AssertionError

    stream = stream_changes(database, owner_id, 0, lambda: True, pause)
    assert [change.number async for change, _ in stream] == [1]


async def record_changes(session: AsyncSession, owner_id: UUID, count: int) -> None:
    for _ in range(count):
        await record_change(session, TodoChanged(owner_id=owner_id, todo_id=owner_id))
