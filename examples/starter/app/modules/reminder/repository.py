"""How to-dos are found that somebody is to be reminded of."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.modules.reminder.models import Reminder
from app.modules.todo.models import Todo, TodoStatus


class ReminderRepository:
    """The reminders in the database."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the transaction of `session`."""
        self.session = session

    async def due(self, since: datetime, now: datetime, limit: int) -> Sequence[tuple[Todo, datetime]]:
        """Lock the to-dos that have become due and that nobody was reminded of, the longest overdue first."""
        reminded = select(Reminder).where(
            col(Reminder.todo_id) == col(Todo.id), col(Reminder.due_at) == col(Todo.due_at)
        )
        query = (
            select(Todo, col(Todo.due_at))
            .where(col(Todo.due_at) > since, col(Todo.due_at) <= now)
            .where(col(Todo.status).in_((TodoStatus.OPEN, TodoStatus.IN_PROGRESS)), ~reminded.exists())
            .order_by(col(Todo.due_at))
            .limit(limit)
        )
        return (await self.session.exec(query.with_for_update(skip_locked=True))).all()  # ty: ignore

    async def put(self, todo_id: UUID, due_at: datetime) -> bool:
        """Note that somebody is reminded of a to-do, unless that was noted while this transaction waited."""
        reminder = await self.session.get(Reminder, todo_id)
        if reminder is None:
            self.session.add(Reminder(todo_id=todo_id, due_at=due_at))
            return True
        news = reminder.due_at != due_at
        reminder.due_at = due_at
        return news
