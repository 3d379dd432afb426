"""Reminders, sent by background jobs: one for each due date of an open to-do."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.message import EmailMessage
from uuid import UUID

import pytest
from httpx2 import AsyncClient
from sqlmodel import select

from app.core.events import Event
from app.db.base import utc_now
from app.db.session import Database, transaction
from app.jobs.schedule import schedules
from app.mail.terminal import printed_emails
from app.modules.reminder.events import TodoDue
from app.modules.reminder.repository import ReminderRepository
from app.modules.reminder.service import BATCH_SIZE, ReminderService
from app.modules.reminder.tasks import publish_due_todos
from app.modules.todo.models import Todo, TodoStatus
from app.modules.user.models import User
from tests.run_jobs import run_pending_jobs

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def _clear_printed_emails() -> None:
    printed_emails.clear()


@pytest.fixture
async def owner(database: Database) -> UUID:
    """A user without to-dos."""
    return await create_owner(database)


async def create_owner(database: Database) -> UUID:
    async with transaction(database.write) as session:
        user = User(email="ada@example.com", name="Ada")
        session.add(user)
    return user.id


def todo(owner: UUID, ago: timedelta = MINUTE, title: str = "Buy milk", status: str = "open") -> Todo:
    """Return a to-do that became due some time ago."""
    return Todo(owner_id=owner, title=title, due_at=utc_now() - ago, status=TodoStatus(status))


async def commit_todos(database: Database, *todos: Todo) -> None:
    async with transaction(database.write) as session:
        session.add_all(todos)


async def change(database: Database, todo: Todo, **values: object) -> None:
    async with transaction(database.write) as session:
        found = await session.get_one(Todo, todo.id)
        found.sqlmodel_update(values)


async def run_reminders(database: Database, limit: int = BATCH_SIZE) -> list[str]:
    """Search for due to-dos, run all jobs, and return the titles in the emails since the last call."""
    async with transaction(database.write) as session:
        publish_due_todos.enqueue(session, limit=limit)
    await run_pending_jobs(database)
    titles = [title_in(mail) for mail in reversed(printed_emails)]
    printed_emails.clear()
    return titles


def title_in(mail: EmailMessage) -> str:
    return str(mail["Subject"]).rpartition(": ")[2]


def test_task_runs_every_minute() -> None:
    [schedule] = [one for one in schedules() if one.task is publish_due_todos]
    assert (schedule.cron, schedule.missed) == ("* * * * *", "once")


async def test_owner_gets_reminder(database: Database, owner: UUID) -> None:
    await commit_todos(database, todo(owner))
    async with transaction(database.write) as session:
        publish_due_todos.enqueue(session)
    await run_pending_jobs(database)

    [mail] = printed_emails
    assert (mail["To"], title_in(mail)) == ("ada@example.com", "Buy milk")


async def test_one_reminder_per_due_date(database: Database, owner: UUID) -> None:
    milk = todo(owner)
    await commit_todos(database, milk)

    assert await run_reminders(database) == ["Buy milk"]
    assert await run_reminders(database) == []
    await change(database, milk, due_at=utc_now() + MINUTE)
    assert await run_reminders(database) == [], "not due yet"
    await change(database, milk, due_at=utc_now() - 2 * MINUTE)
    assert await run_reminders(database) == ["Buy milk"]
    assert await run_reminders(database) == []


async def test_closed_long_overdue_and_future_todos_get_no_reminder(database: Database, owner: UUID) -> None:
    someday = todo(owner, title="someday")
    someday.due_at = None
    await commit_todos(
        database,
        todo(owner, title="done", status="done"),
        todo(owner, title="cancelled", status="cancelled"),
        todo(owner, DAY + MINUTE, "long past"),
        todo(owner, -MINUTE, "still to come"),
        someday,
        todo(owner, DAY - MINUTE, "of yesterday"),
        todo(owner, title="begun", status="in_progress"),
    )

    assert await run_reminders(database) == ["of yesterday", "begun"]


async def test_reopened_todo_gets_reminder(database: Database, owner: UUID) -> None:
    milk = todo(owner, status="done")
    await commit_todos(database, milk)
    assert await run_reminders(database) == []

    await change(database, milk, status=TodoStatus.OPEN)
    assert await run_reminders(database) == ["Buy milk"]


async def test_many_due_todos_are_processed_in_batches(database: Database, owner: UUID) -> None:
    await commit_todos(database, *(todo(owner, number * MINUTE, str(number)) for number in range(1, 6)))

    assert sorted(await run_reminders(database, limit=2)) == [f"{number}" for number in range(1, 6)]


@pytest.mark.parametrize("values", [{"status": TodoStatus.DONE}, {"status": TodoStatus.CANCELLED}, {"due_at": None}])
async def test_closed_todo_gets_no_reminder(database: Database, owner: UUID, values: dict[str, object]) -> None:
    milk = todo(owner)
    await commit_todos(database, milk)
    await notice(database)
    await change(database, milk, **values)
    await run_pending_jobs(database)

    assert list(printed_emails) == []


async def test_deleted_todo_gets_no_reminder(database: Database, owner: UUID) -> None:
    milk = todo(owner)
    await commit_todos(database, milk)
    await notice(database)
    async with transaction(database.write) as session:
        await session.delete(await session.get_one(Todo, milk.id))
    await run_pending_jobs(database)

    assert list(printed_emails) == []
    assert await run_reminders(database) == []


async def notice(database: Database) -> int:
    async with transaction(database.write) as session:
        return await ReminderService(session).publish_due()


async def test_concurrent_runs_send_one_reminder(committing_client: AsyncClient, committing_database: Database) -> None:
    owner = await create_owner(committing_database)
    await commit_todos(committing_database, *(todo(owner, title=str(number)) for number in range(20)))
    await asyncio.gather(*(notice(committing_database) for _ in range(4)))
    await run_pending_jobs(committing_database)

    assert sorted(int(title_in(mail)) for mail in printed_emails) == list(range(20))


class Late(ReminderRepository):
    """Found the to-dos before a concurrent transaction had recorded their reminders."""

    async def due(self, since: datetime, now: datetime, limit: int) -> Sequence[tuple[Todo, datetime]]:
        found = (await self.session.exec(select(Todo))).all()
        return [(todo, todo.due_at) for todo in found if todo.due_at]


async def test_todo_published_by_concurrent_transaction_is_skipped(
    database: Database, owner: UUID, captured_events: list[Event]
) -> None:
    await commit_todos(database, todo(owner))
    for _ in range(2):
        async with transaction(database.write) as session:
            await ReminderService(session, Late(session)).publish_due()

    assert [type(event) for event in captured_events] == [TodoDue]
