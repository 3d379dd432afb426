"""Event consumers for statistics: every published event is counted."""

from collections.abc import Sequence

from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import Event
from app.messaging.consumers import Consumer
from app.messaging.contracts import type_of
from app.modules.statistics.service import StatisticsService

statistics = Consumer("statistics")


@statistics.on_batch()
async def count(session: AsyncSession, events: Sequence[Event]) -> None:
    """Count a batch of events, with one statement per day and event type."""
    await StatisticsService(session).count((event.occurred_at, type_of(event)) for event in events)
