"""The reminder email."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from app.mail import Email
from app.modules.reminder.emails import format_due_date, reminder
from app.modules.todo.models import Todo, TodoStatus
from app.modules.user.models import User

DUE_AT = datetime(2030, 1, 31, 17, 5, tzinfo=UTC)


async def build_reminder(session: AsyncSession, **fields: Any) -> Email | None:
    owner = User(email="ada@example.com", name="Ada")
    session.add(owner)
    await session.flush()
    todo = Todo(owner_id=owner.id, title="Buy <tea>", due_at=DUE_AT)
    todo.sqlmodel_update(fields)
    session.add(todo)
    await session.flush()
    return await reminder(todo_id=todo.id, due_at=DUE_AT).build(session)


async def test_reminder_contains_title_and_due_date(session: AsyncSession) -> None:
    email = await build_reminder(session)

    assert email is not None
    assert email.to == "ada@example.com"
    assert email.subject.endswith(": Reminder: Buy <tea>")
    for part in ("Hello Ada,", "Thursday, 31 January 2030, 17:05 UTC", "“Buy <tea>”"):
        assert part in email.text
    assert "“Buy &lt;tea&gt;”" in email.html


@pytest.mark.parametrize(
    "fields",
    [
        {"due_at": None},
        {"due_at": DUE_AT + timedelta(days=30)},
        {"status": TodoStatus.DONE},
        {"status": TodoStatus.CANCELLED},
    ],
)
async def test_closed_or_rescheduled_todo_gets_no_reminder(session: AsyncSession, fields: dict[str, Any]) -> None:
    assert await build_reminder(session, **fields) is None


async def test_deleted_todo_gets_no_reminder(session: AsyncSession) -> None:
    assert await reminder(todo_id=uuid4(), due_at=DUE_AT).build(session) is None


def test_due_date_is_formatted_in_utc() -> None:
    assert format_due_date(DUE_AT.astimezone(timezone(timedelta(hours=9)))) == "Thursday, 31 January 2030, 17:05 UTC"
