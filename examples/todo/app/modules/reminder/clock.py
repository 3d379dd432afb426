"""Polling for due to-dos."""

from sqlmodel.ext.asyncio.session import AsyncSession

from app.modules.reminder.service import BATCH_SIZE, ReminderService
from app.topology.clock import ticking


@ticking
async def publish_due_todos(session: AsyncSession, limit: int = BATCH_SIZE) -> bool:
    """Publish an event for each due to-do; return whether there may be more."""
    return await ReminderService(session).publish_due(limit) == limit
