"""Reminders, sent by an event consumer."""

from datetime import timedelta

import pytest

from app.db.base import utc_now
from app.db.session import Database, transaction
from app.events.inbox import Inbox
from app.mail.terminal import shown
from app.modules.reminder.consumers import reminders
from app.modules.reminder.events import TodoDue
from app.modules.todo.models import Todo, TodoStatus
from app.modules.user.models import User
from tests.events.conftest import as_message


@pytest.fixture(autouse=True)
def _no_mails() -> None:
    shown.clear()


async def due(database: Database, status: TodoStatus = TodoStatus.OPEN) -> TodoDue:
    async with transaction(database.writers) as session:
        owner = User(email="ada@example.com", name="Ada")
        session.add(owner)
        await session.flush()
        todo = Todo(owner_id=owner.id, title="Buy milk", due_at=utc_now() - timedelta(minutes=1), status=status)
        session.add(todo)
    assert todo.due_at is not None
    return TodoDue(owner_id=owner.id, todo_id=todo.id, due_at=todo.due_at)


async def test_duplicate_events_send_one_reminder(database: Database) -> None:
    event = await due(database)
    for _ in range(2):
        await Inbox(database, reminders).take([as_message(event)])

    [mail] = shown
    assert mail["To"] == "ada@example.com"
    assert mail["Subject"].endswith(": Reminder: Buy milk")
    assert mail["Message-ID"].startswith(f"<{event.event_id}.reminders@")


async def test_closed_todo_gets_no_reminder(database: Database) -> None:
    await Inbox(database, reminders).take([as_message(await due(database, TodoStatus.DONE))])
    assert list(shown) == []
