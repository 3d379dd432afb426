"""Queries for events in the outbox."""

from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlmodel import col, delete, update
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.base import utc_now
from app.messaging.producer import PendingEvent
from app.messaging.publisher import DESTINATION
from app.outbox.models import OutboxMessage
from app.outbox.repository import NOT_DEAD, truncate_error

PENDING_EVENTS = select(
    col(OutboxMessage.id),
    col(OutboxMessage.queue),
    col(OutboxMessage.name),
    col(OutboxMessage.key),
    col(OutboxMessage.payload),
).where(col(OutboxMessage.destination) == DESTINATION, NOT_DEAD)


class EventRepository:
    """Finds pending events, and removes or rejects them."""

    def __init__(self, session: AsyncSession) -> None:
        """Use the transaction of `session`."""
        self.session = session

    async def due(self, limit: int) -> Sequence[PendingEvent]:
        """Return pending events, in the order in which they were added."""
        query = PENDING_EVENTS.order_by(col(OutboxMessage.number)).limit(limit)
        return [PendingEvent._make(row) for row in await (await self.session.connection()).execute(query)]

    async def delete_delivered(self, events: Iterable[PendingEvent]) -> None:
        """Delete events that Kafka has stored."""
        ids = [event.id for event in events]
        await self.session.exec(delete(OutboxMessage).where(col(OutboxMessage.id).in_(ids)))

    async def mark_rejected(self, event: PendingEvent, reason: str) -> None:
        """Make an event that Kafka rejects a dead letter. The next event with its key is then due."""
        row = update(OutboxMessage).where(col(OutboxMessage.id) == event.id, NOT_DEAD)
        await self.session.exec(row.values(dead_at=utc_now(), last_error=truncate_error(reason)))
