"""Relays events to Kafka, in the order in which they were added.

Rows are deleted as soon as Kafka has stored their events, so unlike jobs they need no later
check. If a relay crashes in between, events are sent twice with the same id, and consumers
skip the duplicates.
"""

import structlog
from sqlalchemy import text

from app.db.session import Database, transaction
from app.messaging.producer import EventProducer
from app.messaging.repository import EventRepository
from app.outbox.poller import OutboxPoller

# Larger than a batch of jobs. At most 1 GB fits into the client's queue, and an event has at most 1 MB.
BATCH = 1_000
# Concurrent relays would change the order, so they take turns with an advisory lock. The number must be unique among
# the advisory locks of the database. SQLite has none: run only one relay there.
RELAY_LOCK = {"postgresql": "SELECT pg_try_advisory_xact_lock(5209271)", "sqlite": "SELECT true"}

logger = structlog.get_logger(__name__)


class EventRelay(OutboxPoller):
    """Sends events to Kafka."""

    def __init__(self, database: Database, kafka: EventProducer, poll_seconds: float) -> None:
        """Send the events of `database` through `kafka`."""
        super().__init__(database, poll_seconds)
        self.kafka = kafka

    async def run_once(self, check_sent: bool = True) -> int:
        """Send a batch, and return the number of delivered events."""
        async with transaction(self.database.snapshot) as turn:
            connection = await turn.connection()
            if not (await connection.execute(text(RELAY_LOCK[connection.dialect.name]))).scalar_one():
                return 0
            events = await EventRepository(turn).due(BATCH)
            if not events:
                return 0
            delivery = await self.kafka.deliver(events)
            async with transaction(self.database.write) as session:
                repository = EventRepository(session)
                await repository.delete_delivered(delivery.delivered)
                for event, reason in delivery.rejected:
                    logger.error(
                        "outbox: event rejected by Kafka", event_id=str(event.id), type=event.name, error=reason
                    )
                    await repository.mark_rejected(event, reason)
        return len(delivery.delivered)
