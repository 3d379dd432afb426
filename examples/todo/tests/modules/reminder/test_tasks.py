"""Due to-dos, published by a periodic task: once for each due date of an open to-do."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from httpx2 import AsyncClient
from sqlmodel import select

from app.core.events import Event
from app.db.base import utc_now
from app.db.session import Database, transaction
from app.jobs.schedule import schedules
from app.modules.reminder.events import TodoDue
from app.modules.reminder.repository import ReminderRepository
from app.modules.reminder.service import TODOS_PER_JOB, ReminderService
from app.modules.reminder.tasks import publish_due_todos
from app.modules.todo.models import Todo, TodoStatus
from app.modules.user.models import User
from tests.run_jobs import run_pending_jobs

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
async def owner(database: Database) -> UUID:
    """A user without to-dos."""
    return await create_owner(database)


async def create_owner(database: Database) -> UUID:
    async with transaction(database.write) as session:
        user = User(email="ada@example.com", name="Ada")
        session.add(user)
    return user.id


def make_todo(owner: UUID, ago: timedelta = MINUTE, status: str = "open") -> Todo:
    """Return a to-do that became due some time ago."""
    return Todo(owner_id=owner, title="Buy milk", due_at=utc_now() - ago, status=TodoStatus(status))


async def commit_todos(database: Database, *todos: Todo) -> None:
    async with transaction(database.write) as session:
        session.add_all(todos)


async def update_todo(database: Database, todo: Todo, **values: object) -> None:
    async with transaction(database.write) as session:
        found = await session.get_one(Todo, todo.id)
        found.sqlmodel_update(values)


async def publish_due(database: Database, events: list[Event], limit: int = TODOS_PER_JOB) -> list[UUID]:
    """Run the task, and return the to-dos that it has published."""
    events.clear()
    async with transaction(database.write) as session:
        publish_due_todos.enqueue(session, limit=limit)
    await run_pending_jobs(database)
    return published_todo_ids(events)


def published_todo_ids(events: list[Event]) -> list[UUID]:
    return [event.todo_id for event in events if isinstance(event, TodoDue)]


def test_task_runs_every_minute() -> None:
    [schedule] = [one for one in schedules() if one.task is publish_due_todos]
    assert (schedule.cron, schedule.missed) == ("* * * * *", "once")


async def test_due_date_is_published_once(database: Database, owner: UUID, captured_events: list[Event]) -> None:
    milk = make_todo(owner)
    await commit_todos(database, milk)

    assert await publish_due(database, captured_events) == [milk.id]
    assert await publish_due(database, captured_events) == []
    await update_todo(database, milk, due_at=utc_now() + MINUTE)
    assert await publish_due(database, captured_events) == [], "not due yet"
    await update_todo(database, milk, due_at=utc_now() - 2 * MINUTE)
    assert await publish_due(database, captured_events) == [milk.id]
    assert await publish_due(database, captured_events) == []


async def test_closed_long_overdue_and_future_todos_are_not_published(
    database: Database, owner: UUID, captured_events: list[Event]
) -> None:
    someday, yesterday, begun = make_todo(owner), make_todo(owner, DAY - MINUTE), make_todo(owner, status="in_progress")
    someday.due_at = None
    await commit_todos(
        database,
        make_todo(owner, status="done"),
        make_todo(owner, status="cancelled"),
        make_todo(owner, DAY + MINUTE),
        make_todo(owner, -MINUTE),
        someday,
        yesterday,
        begun,
    )

    assert await publish_due(database, captured_events) == [yesterday.id, begun.id]


async def test_reopened_todo_is_published(database: Database, owner: UUID, captured_events: list[Event]) -> None:
    milk = make_todo(owner, status="done")
    await commit_todos(database, milk)
    assert await publish_due(database, captured_events) == []

    await update_todo(database, milk, status=TodoStatus.OPEN)
    assert await publish_due(database, captured_events) == [milk.id]


async def test_many_due_todos_are_processed_in_batches(
    database: Database, owner: UUID, captured_events: list[Event]
) -> None:
    todos = [make_todo(owner, number * MINUTE) for number in range(1, 6)]
    await commit_todos(database, *todos)

    assert set(await publish_due(database, captured_events, limit=2)) == {each.id for each in todos}
    assert len(published_todo_ids(captured_events)) == len(todos)


async def test_concurrent_runs_publish_each_todo_once(
    committing_client: AsyncClient, committing_database: Database, captured_events: list[Event]
) -> None:
    owner = await create_owner(committing_database)
    todos = [make_todo(owner) for _ in range(20)]
    await commit_todos(committing_database, *todos)
    await asyncio.gather(*(publish_in_transaction(committing_database) for _ in range(4)))

    assert sorted(published_todo_ids(captured_events)) == sorted(each.id for each in todos)


async def publish_in_transaction(database: Database) -> None:
    async with transaction(database.write) as session:
        await ReminderService(session).publish_due()


class StaleReminderRepository(ReminderRepository):
    """Found the to-dos before a concurrent transaction had recorded their reminders."""

    async def lock_due_todos(self, since: datetime, now: datetime, limit: int) -> Sequence[tuple[Todo, datetime]]:
        found = (await self.session.exec(select(Todo))).all()
        return [(todo, todo.due_at) for todo in found if todo.due_at]


async def test_todo_published_by_concurrent_transaction_is_skipped(
    database: Database, owner: UUID, captured_events: list[Event]
) -> None:
    await commit_todos(database, make_todo(owner))
    for _ in range(2):
        async with transaction(database.write) as session:
            await ReminderService(session, StaleReminderRepository(session)).publish_due()

    assert [type(event) for event in captured_events] == [TodoDue]
