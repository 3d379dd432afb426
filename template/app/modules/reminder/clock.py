"""Looking for to-dos that are due."""

from sqlmodel.ext.asyncio.session import AsyncSession

from app.modules.reminder.service import AT_ONCE, ReminderService
from app.topology.clock import ticking


@ticking
async def notice_due_todos(session: AsyncSession, limit: int = AT_ONCE) -> bool:
    """Say what has become due, and tell whether that may not be all."""
    return await ReminderService(session).notice(limit) == limit
