"""Due to-dos, found by the scheduler."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from httpx2 import AsyncClient
from sqlmodel import select

from app.core.events import Event
from app.db.base import utc_now
from app.db.session import Database, transaction
from app.modules.reminder.clock import publish_due_todos
from app.modules.reminder.events import TodoDue
from app.modules.reminder.repository import ReminderRepository
from app.modules.reminder.service import BATCH_SIZE, MAX_OVERDUE, ReminderService
from app.modules.todo.models import Todo, TodoStatus
from app.modules.user.models import User
from app.topology import clock

MINUTE = timedelta(minutes=1)


async def commit_todos(
    database: Database, count: int = 1, ago: timedelta = MINUTE, status: TodoStatus = TodoStatus.OPEN
) -> None:
    """Create to-dos that became due some time ago."""
    async with transaction(database.write) as session:
        owner = User(email="ada@example.com", name="Ada")
        session.add(owner)
        await session.flush()
        session.add_all(
            Todo(owner_id=owner.id, title=str(number), due_at=utc_now() - ago, status=status) for number in range(count)
        )


async def look(database: Database, limit: int = BATCH_SIZE) -> bool:
    async with transaction(database.write) as session:
        return await publish_due_todos(session, limit)


def test_scheduler_calls_the_function() -> None:
    assert publish_due_todos in clock._ticking


async def test_due_todo_is_published_once(database: Database, captured_events: list[Event]) -> None:
    await commit_todos(database)
    assert [await look(database) for _ in range(2)] == [False, False]
    assert [type(event) for event in captured_events] == [TodoDue]


@pytest.mark.parametrize(
    ("ago", "status"),
    [(-MINUTE, TodoStatus.OPEN), (MAX_OVERDUE + MINUTE, TodoStatus.OPEN), (MINUTE, TodoStatus.DONE)],
)
async def test_todo_that_is_not_due_or_closed_or_long_overdue_is_not_published(
    database: Database, captured_events: list[Event], ago: timedelta, status: TodoStatus
) -> None:
    await commit_todos(database, ago=ago, status=status)
    assert not await look(database)
    assert captured_events == []


async def test_full_batch_is_reported(database: Database, captured_events: list[Event]) -> None:
    await commit_todos(database, count=3)
    assert [await look(database, limit=2) for _ in range(2)] == [True, False]
    assert len(captured_events) == 3


async def test_new_due_date_gets_new_reminder(database: Database, captured_events: list[Event]) -> None:
    await commit_todos(database)
    await look(database)
    async with transaction(database.write) as session:
        todo = (await session.exec(select(Todo))).one()
        todo.due_at = utc_now() - timedelta(seconds=1)
    await look(database)
    assert len(captured_events) == 2


async def test_concurrent_runs_publish_each_todo_once(
    committing_client: AsyncClient, committing_database: Database, captured_events: list[Event]
) -> None:
    await commit_todos(committing_database, count=20)
    await asyncio.gather(*(look(committing_database) for _ in range(4)))
    assert len({event.todo_id for event in captured_events if isinstance(event, TodoDue)}) == len(captured_events) == 20


class Late(ReminderRepository):
    """Found the to-dos before a concurrent transaction had recorded their reminders."""

    async def due(self, since: datetime, now: datetime, limit: int) -> Sequence[tuple[Todo, datetime]]:
        found = (await self.session.exec(select(Todo))).all()
        return [(todo, todo.due_at) for todo in found if todo.due_at]


async def test_todo_published_by_concurrent_transaction_is_skipped(
    database: Database, captured_events: list[Event]
) -> None:
    await commit_todos(database)
    for _ in range(2):
        async with transaction(database.write) as session:
            await ReminderService(session, Late(session)).publish_due()
    assert [type(event) for event in captured_events] == [TodoDue]
