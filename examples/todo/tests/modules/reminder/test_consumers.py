"""Reminders, sent by an event consumer."""

from datetime import timedelta

import pytest

from app.db.base import utc_now
from app.db.session import Database, transaction
from app.mail.terminal import printed_emails
from app.messaging.inbox import Inbox
from app.modules.reminder.consumers import reminders
from app.modules.reminder.events import TodoDue
from app.modules.todo.models import Todo, TodoStatus
from app.modules.user.models import User
from tests.messaging.conftest import to_message_bytes


@pytest.fixture(autouse=True)
def _clear_printed_emails() -> None:
    printed_emails.clear()


async def due(database: Database, status: TodoStatus = TodoStatus.OPEN) -> TodoDue:
    async with transaction(database.write) as session:
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
        await Inbox(database, reminders).process_batch([to_message_bytes(event)])

    [mail] = printed_emails
    assert mail["To"] == "ada@example.com"
    assert mail["Subject"].endswith(": Reminder: Buy milk")
    assert mail["Message-ID"].startswith(f"<{event.event_id}.reminders@")


async def test_closed_todo_gets_no_reminder(database: Database) -> None:
    await Inbox(database, reminders).process_batch([to_message_bytes(await due(database, TodoStatus.DONE))])
    assert list(printed_emails) == []
