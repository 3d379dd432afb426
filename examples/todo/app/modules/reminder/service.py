"""Business rules for reminders."""

from datetime import timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import publish
from app.db.base import utc_now
from app.modules.reminder.events import TodoDue
from app.modules.reminder.repository import ReminderRepository

TODOS_PER_JOB = 200
# To-dos that have been due for longer, for example after an outage, get no reminder.
MAX_OVERDUE = timedelta(days=1)


class ReminderService:
    """Business rules for reminders."""

    def __init__(self, session: AsyncSession, reminders: ReminderRepository | None = None) -> None:
        self.reminders = reminders or ReminderRepository(session)
        self.session = session

    async def publish_due(self, limit: int = TODOS_PER_JOB) -> int:
        """Publish `TodoDue` once for each due to-do; return the number of to-dos checked."""
        now = utc_now()
        todos = await self.reminders.lock_due_todos(now - MAX_OVERDUE, now, limit)
        for todo, due_at in todos:
            if await self.reminders.mark_reminded(todo.id, due_at):
                await publish(self.session, TodoDue(owner_id=todo.owner_id, todo_id=todo.id, due_at=due_at))
        return len(todos)
