"""Queries for reminders."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.modules.reminder.models import Reminder
from app.modules.todo.models import ACTIVE_STATUSES, Todo


class ReminderRepository:
    """Queries for reminders."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def lock_due_todos(self, since: datetime, now: datetime, limit: int) -> Sequence[tuple[Todo, datetime]]:
        """Lock and return due to-dos without a reminder, the longest overdue first.

        To-dos locked by another transaction are skipped.
        """
        reminded = select(Reminder).where(
            col(Reminder.todo_id) == col(Todo.id), col(Reminder.due_at) == col(Todo.due_at)
        )
        query = (
            select(Todo, col(Todo.due_at))
            .where(col(Todo.due_at) > since, col(Todo.due_at) <= now)
            .where(col(Todo.status).in_(ACTIVE_STATUSES), ~reminded.exists())
            .order_by(col(Todo.due_at))
            .limit(limit)
        )
        return (await self.session.exec(query.with_for_update(skip_locked=True))).all()  # ty: ignore

    async def mark_reminded(self, todo_id: UUID, due_at: datetime) -> bool:
        """Record the reminder of a to-do; return False if a concurrent transaction has already recorded it."""
        reminder = await self.session.get(Reminder, todo_id)
        if reminder is None:
            self.session.add(Reminder(todo_id=todo_id, due_at=due_at))
            return True
        is_new = reminder.due_at != due_at
        reminder.due_at = due_at
        return is_new
