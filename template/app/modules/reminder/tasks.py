"""Looking for to-dos that are due, and writing to their owners."""

from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import subscribe
from app.mail import send_letter
from app.modules.reminder.events import TodoDue
from app.modules.reminder.mails import reminder
from app.modules.reminder.service import AT_ONCE, ReminderService
from app.workers.schedule import Missed, periodic
from app.workers.task import task


@periodic("* * * * *", missed=Missed.ONCE)
@task()
async def notice_due_todos(session: AsyncSession, *, limit: int = AT_ONCE) -> None:
    """Find what has become due; go on at once if that was not all."""
    if await ReminderService(session).notice(limit) == limit:
        notice_due_todos.enqueue(session, limit=limit)


@subscribe(TodoDue)
async def remind(session: AsyncSession, event: TodoDue) -> None:
    """Write to the owner."""
    await send_letter(session, reminder, todo_id=event.todo_id, due_at=event.due_at)
