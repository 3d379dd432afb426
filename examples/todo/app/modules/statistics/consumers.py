"""What is counted when it happens: every event that leaves this service."""

from collections.abc import Sequence

from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import Event
from app.events.consumers import Consumer
from app.modules.statistics.service import StatisticsService

statistics = Consumer("statistics")


@statistics.on_batch()
async def count(session: AsyncSession, events: Sequence[Event]) -> None:
    """Count many at once: one row a day and kind."""
    await StatisticsService(session).count((event.occurred_at, type(event).__name__) for event in events)
