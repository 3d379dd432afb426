"""Relays events to Kafka, in the order in which they were added.

Rows are deleted as soon as Kafka has stored their events, so unlike jobs they need no later
check. If a relay crashes in between, events are sent twice with the same id, and consumers
skip the duplicates.
"""

from collections.abc import Iterable, Sequence

import structlog
from sqlalchemy import select, text
from sqlmodel import col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.base import utc_now
from app.db.session import Database, transaction
from app.messaging.producer import EventProducer, PendingEvent
from app.messaging.publisher import TO_KAFKA
from app.outbox.models import OutboxMessage
from app.outbox.poller import OutboxPoller
from app.outbox.repository import NOT_DEAD, truncate_error, update_messages

# Larger than a batch of jobs. At most 1 GB fits into the client's queue, and an event has at most 1 MB.
EVENTS_PER_POLL = 1_000
# Concurrent relays would change the order, so they take turns with an advisory lock. The number must be unique among
# the advisory locks of the database. SQLite has none: run only one relay there.
RELAY_LOCK = {"postgresql": "SELECT pg_try_advisory_xact_lock(5209271)", "sqlite": "SELECT true"}
PENDING_EVENTS = select(
    col(OutboxMessage.id),
    col(OutboxMessage.queue),
    col(OutboxMessage.name),
    col(OutboxMessage.key),
    col(OutboxMessage.payload),
).where(col(OutboxMessage.destination) == TO_KAFKA, NOT_DEAD)

logger = structlog.get_logger(__name__)


class EventRelay(OutboxPoller):
    """Sends events to Kafka."""

    def __init__(self, database: Database, kafka: EventProducer, poll_seconds: float) -> None:
        super().__init__(database, poll_seconds)
        self.kafka = kafka

    async def run_once(self) -> int:
        """Send a batch, and return the number of events that Kafka has stored or rejected."""
        async with transaction(self.database.read_transaction) as reading:
            connection = await reading.connection()
            if not (await connection.execute(text(RELAY_LOCK[connection.dialect.name]))).scalar_one():
                return 0
            events = await EventRepository(reading).pending_events(EVENTS_PER_POLL)
            if not events:
                return 0
            delivery = await self.kafka.deliver(events)
            async with transaction(self.database.write) as session:
                repository = EventRepository(session)
                await repository.delete_delivered(delivery.delivered)
                for event, reason in delivery.rejected:
                    logger.error(
                        "outbox: event rejected by Kafka", dead_letter_id=str(event.id), type=event.name, error=reason
                    )
                    await repository.mark_rejected(event, reason)
        return len(delivery.delivered) + len(delivery.rejected)


class EventRepository:
    """Finds pending events, and removes or rejects them."""

    def __init__(self, session: AsyncSession) -> None:
        """Use the transaction of `session`."""
        self.session = session

    async def pending_events(self, limit: int) -> Sequence[PendingEvent]:
        """Return pending events, in the order in which they were added."""
        query = PENDING_EVENTS.order_by(col(OutboxMessage.number)).limit(limit)
        return [PendingEvent._make(row) for row in await (await self.session.connection()).execute(query)]

    async def delete_delivered(self, events: Iterable[PendingEvent]) -> None:
        """Delete events that Kafka has stored."""
        ids = [event.id for event in events]
        await self.session.exec(delete(OutboxMessage).where(col(OutboxMessage.id).in_(ids)))

    async def mark_rejected(self, event: PendingEvent, reason: str) -> None:
        """Make an event that Kafka rejects a dead letter."""
        is_pending = [col(OutboxMessage.id) == event.id, NOT_DEAD]
        await update_messages(self.session, is_pending, dead_at=utc_now(), last_error=truncate_error(reason))
