"""Reminder emails. Their texts are in `templates/`."""

from datetime import UTC, datetime
from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.mail import Email, EmailTemplate, deferred_email
from app.modules.todo.models import ACTIVE_STATUSES, Todo
from app.modules.user.models import User

REMINDER = EmailTemplate(
    __name__, "reminder", name="Ada Lovelace", todo="Buy milk", due="Thursday, 31 January 2030, 17:00 UTC"
)


@deferred_email
async def reminder(session: AsyncSession, *, todo_id: UUID, due_at: datetime) -> Email | None:
    """Remind the owner of a to-do, unless it has been closed, rescheduled, or deleted in the meantime."""
    query = select(Todo, User).join(User, col(User.id) == col(Todo.owner_id)).where(col(Todo.id) == todo_id)
    found = (await session.exec(query)).one_or_none()
    if found is None:
        return None
    todo, owner = found
    if todo.due_at != due_at or todo.status not in ACTIVE_STATUSES:
        return None
    return REMINDER.render(owner.email, name=owner.name, todo=todo.title, due=format_due_date(due_at))


def format_due_date(due: datetime) -> str:
    """Format a timestamp for readers in any time zone: with the day of the week, in UTC."""
    utc = due.astimezone(UTC)
    return f"{utc:%A}, {utc.day} {utc:%B %Y, %H:%M} UTC"
