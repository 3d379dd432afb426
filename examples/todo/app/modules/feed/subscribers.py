"""Subscribers to the events of to-dos."""

from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import subscribe
from app.modules.feed.service import KINDS, FeedService
from app.modules.todo.events import TodoEvent


@subscribe(*KINDS)
async def record_change(session: AsyncSession, event: TodoEvent) -> None:
    """Record each change of a to-do, in the transaction that makes the change."""
    await FeedService(session, event.owner_id).record(event)
