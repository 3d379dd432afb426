"""Background jobs for reminders."""

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
    """Publish an event for each due to-do; continue in another job if there may be more."""
    if await ReminderService(session).notice(limit) == limit:
        notice_due_todos.enqueue(session, limit=limit)


@subscribe(TodoDue)
async def remind(session: AsyncSession, event: TodoDue) -> None:
    """Send a reminder to the owner of a due to-do."""
    await send_letter(session, reminder, todo_id=event.todo_id, due_at=event.due_at)
