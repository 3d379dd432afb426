"""Queries for events in the outbox."""

from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlmodel import col, delete, update
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.base import utc_now
from app.events.kafka import Waiting
from app.events.publisher import DESTINATION
from app.outbox.models import OutboxEvent
from app.outbox.repository import ALIVE, storable

WAITING = select(
    col(OutboxEvent.id),
    col(OutboxEvent.queue),
    col(OutboxEvent.name),
    col(OutboxEvent.key),
    col(OutboxEvent.payload),
).where(col(OutboxEvent.destination) == DESTINATION, ALIVE)


class EventRepository:
    """Finds pending events, and removes or rejects them."""

    def __init__(self, session: AsyncSession) -> None:
        """Use the transaction of `session`."""
        self.session = session

    async def due(self, limit: int) -> Sequence[Waiting]:
        """Return pending events, in the order in which they were added."""
        query = WAITING.order_by(col(OutboxEvent.number)).limit(limit)
        return [Waiting._make(row) for row in await (await self.session.connection()).execute(query)]

    async def delivered(self, events: Iterable[Waiting]) -> None:
        """Delete events that Kafka has stored."""
        ids = [event.id for event in events]
        await self.session.exec(delete(OutboxEvent).where(col(OutboxEvent.id).in_(ids)))

    async def refused(self, event: Waiting, reason: str) -> None:
        """Make an event that Kafka rejects a dead letter. The next event with its key is then due."""
        row = update(OutboxEvent).where(col(OutboxEvent.id) == event.id, ALIVE)
        await self.session.exec(row.values(dead_at=utc_now(), last_error=storable(reason)))
