"""Polling for due to-dos."""

from sqlmodel.ext.asyncio.session import AsyncSession

from app.modules.reminder.service import AT_ONCE, ReminderService
from app.topology.clock import ticking


@ticking
async def notice_due_todos(session: AsyncSession, limit: int = AT_ONCE) -> bool:
    """Publish an event for each due to-do; return whether there may be more."""
    return await ReminderService(session).notice(limit) == limit
