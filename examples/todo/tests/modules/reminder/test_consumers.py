"""Reminders, triggered by an event consumer."""

from datetime import timedelta

import pytest

from app.db.base import utc_now
from app.db.session import Database, transaction
from app.mail.terminal import printed_emails
from app.messaging.inbox import Inbox
from app.modules.reminder.consumers import reminders
from app.modules.reminder.events import TodoDue
from app.modules.todo.models import Todo
from app.modules.user.models import User
from tests.messaging.conftest import to_message_bytes
from tests.outbox.conftest import outbox_rows
from tests.run_jobs import run_pending_jobs


@pytest.fixture(autouse=True)
def _clear_printed_emails() -> None:
    printed_emails.clear()


async def test_duplicate_events_send_one_reminder(database: Database) -> None:
    due_at = utc_now() - timedelta(minutes=1)
    async with transaction(database.write) as session:
        owner = User(email="ada@example.com", name="Ada")
        session.add(owner)
        await session.flush()
        todo = Todo(owner_id=owner.id, title="Buy milk", due_at=due_at)
        session.add(todo)
    event = TodoDue(owner_id=owner.id, todo_id=todo.id, due_at=due_at)
    for _ in range(2):
        await Inbox(database, reminders).process_batch([to_message_bytes(event)])
    assert len(await outbox_rows(database)) == 1
    await run_pending_jobs(database)

    [email] = printed_emails
    assert email["To"] == "ada@example.com"
    assert email["Subject"].endswith(": Reminder: Buy milk")
