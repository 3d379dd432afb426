"""Reminders, sent by a background job when a to-do becomes due."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.base import utc_now
from app.db.session import Database, transaction
from app.mail.terminal import printed_emails
from app.modules.reminder.tasks import publish_due_todos
from app.modules.todo.models import Todo, TodoStatus
from app.modules.user.models import User
from tests.run_jobs import run_pending_jobs

Change = Callable[[AsyncSession, Todo], Awaitable[None]]


@pytest.fixture(autouse=True)
def _clear_printed_emails() -> None:
    printed_emails.clear()


async def commit_due_todo(database: Database) -> Todo:
    async with transaction(database.write) as session:
        owner = User(email="ada@example.com", name="Ada")
        session.add(owner)
        await session.flush()
        todo = Todo(owner_id=owner.id, title="Buy milk", due_at=utc_now() - timedelta(minutes=1))
        session.add(todo)
    return todo


async def test_owner_gets_one_reminder(database: Database) -> None:
    await commit_due_todo(database)
    for _ in range(2):
        async with transaction(database.write) as session:
            publish_due_todos.enqueue(session)
        await run_pending_jobs(database)

    [email] = printed_emails
    assert email["To"] == "ada@example.com"
    assert email["Subject"].endswith(": Reminder: Buy milk")


async def close(session: AsyncSession, todo: Todo) -> None:
    todo.status = TodoStatus.DONE


async def delete(session: AsyncSession, todo: Todo) -> None:
    await session.delete(todo)


@pytest.mark.parametrize("change", [close, delete])
async def test_todo_that_changes_before_the_email_is_sent_gets_no_reminder(database: Database, change: Change) -> None:
    todo = await commit_due_todo(database)
    async with transaction(database.write) as session:
        await publish_due_todos.function(session)
    async with transaction(database.write) as session:
        await change(session, await session.get_one(Todo, todo.id))
    await run_pending_jobs(database)

    assert list(printed_emails) == []
