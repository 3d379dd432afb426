"""Who is reminded of what, and when."""

from datetime import timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import publish
from app.db.base import utc_now
from app.modules.reminder.events import TodoDue
from app.modules.reminder.repository import ReminderRepository

AT_ONCE = 200
# What became due before, while nothing ran, is no news any more.
NEWS_FOR = timedelta(days=1)


class ReminderService:
    """The rules about reminders."""

    def __init__(self, session: AsyncSession, reminders: ReminderRepository | None = None) -> None:
        """Work inside the transaction of `session`; tests may bring a repository of their own."""
        self.reminders = reminders or ReminderRepository(session)
        self.session = session

    async def notice(self, limit: int = AT_ONCE) -> int:
        """Say of each to-do that has become due that it has, once, and return how many were looked at."""
        now = utc_now()
        todos = await self.reminders.due(now - NEWS_FOR, now, limit)
        for todo, due_at in todos:
            if await self.reminders.put(todo.id, due_at):
                await publish(self.session, TodoDue(owner_id=todo.owner_id, todo_id=todo.id, due_at=due_at))
        return len(todos)
