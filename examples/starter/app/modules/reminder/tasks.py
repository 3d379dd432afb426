"""Background jobs for reminders."""

from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import subscribe
from app.jobs.schedule import MissedRuns, periodic
from app.jobs.task import task
from app.mail import send_deferred_email
from app.modules.reminder.events import TodoDue
from app.modules.reminder.mails import reminder
from app.modules.reminder.service import BATCH_SIZE, ReminderService


@periodic("* * * * *", missed=MissedRuns.ONCE)
@task()
async def publish_due_todos(session: AsyncSession, *, limit: int = BATCH_SIZE) -> None:
    """Publish an event for each due to-do; continue in another job if there may be more."""
    if await ReminderService(session).publish_due(limit) == limit:
        publish_due_todos.enqueue(session, limit=limit)


@subscribe(TodoDue)
async def send_reminder(session: AsyncSession, event: TodoDue) -> None:
    """Send a reminder to the owner of a due to-do."""
    await send_deferred_email(session, reminder, todo_id=event.todo_id, due_at=event.due_at)
