"""Events in the outbox, on their way to Kafka; and the ids of those that have come."""

from collections.abc import Iterable, Sequence

from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.base import utc_now
from app.events.publisher import DESTINATION
from app.outbox.models import OutboxEvent
from app.outbox.repository import ALIVE, storable


class EventRepository:
    """The rows that are events."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the transaction of `session`."""
        self.session = session

    async def due(self, limit: int) -> Sequence[OutboxEvent]:
        """List the events that are to be sent, in the order in which they were added."""
        query = select(OutboxEvent).where(col(OutboxEvent.destination) == DESTINATION, ALIVE)
        return (await self.session.exec(query.order_by(col(OutboxEvent.number)).limit(limit))).all()

    async def delivered(self, events: Iterable[OutboxEvent]) -> None:
        """Delete those that Kafka has."""
        ids = [event.id for event in events]
        await self.session.exec(delete(OutboxEvent).where(col(OutboxEvent.id).in_(ids)))

    async def refused(self, event: OutboxEvent, reason: str) -> None:
        """Keep one for a person that Kafka will never take, and let the next of its key go."""
        row = update(OutboxEvent).where(col(OutboxEvent.id) == event.id, ALIVE)
        await self.session.exec(row.values(dead_at=utc_now(), last_error=storable(reason)))
