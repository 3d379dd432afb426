"""Subscribers to reminder events."""

from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import subscribe
from app.mail import send
from app.modules.reminder.emails import reminder
from app.modules.reminder.events import TodoDue


@subscribe(TodoDue)
async def send_reminder(session: AsyncSession, event: TodoDue) -> None:
    """Send a reminder to the owner of a due to-do."""
    await send(session, reminder(todo_id=event.todo_id, due_at=event.due_at))
