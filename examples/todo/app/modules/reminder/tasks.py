"""Background jobs for reminders."""

from sqlmodel.ext.asyncio.session import AsyncSession

from app.jobs.schedule import MissedRuns, periodic
from app.jobs.task import task
from app.modules.reminder.service import TODOS_PER_JOB, ReminderService


@periodic("* * * * *", missed=MissedRuns.ONCE)
@task()
async def publish_due_todos(session: AsyncSession, *, limit: int = TODOS_PER_JOB) -> None:
    """Publish an event for each due to-do; continue in another job if there may be more."""
    if await ReminderService(session).publish_due(limit) == limit:
        publish_due_todos.enqueue(session, limit=limit)
