"""Bringing events to Kafka, in the order in which they were added.

An event is done when Kafka has it, so its row goes then: there is nothing to look after
later, as there is with jobs. If a relay dies in between, an event is sent twice, with the
same id, by which consumers know it.
"""

import structlog
from sqlalchemy import text

from app.db.session import Database, transaction
from app.events.kafka import Kafka
from app.events.repository import EventRepository
from app.outbox.relay import Relay

# Kafka takes more at a time than those who take jobs; more than 1 GB (an event has 1 MB at most) its client would not.
BATCH = 1_000
# Two relays at once would overtake each other, so they take turns. The number is the relay's among all that use such
# locks in its database. SQLite has none: there, run one relay.
TURN = {"postgresql": "SELECT pg_try_advisory_xact_lock(5209271)", "sqlite": "SELECT true"}

logger = structlog.get_logger(__name__)


class EventRelay(Relay):
    """Brings events to Kafka."""

    def __init__(self, database: Database, kafka: Kafka, poll_seconds: float) -> None:
        """Bring them to `kafka`."""
        super().__init__(database, poll_seconds)
        self.kafka = kafka

    async def run_once(self, look: bool = True) -> int:
        """Bring a batch, and return how many events Kafka has now."""
        async with transaction(self.database.readers) as turn:
            connection = await turn.connection()
            if not (await connection.execute(text(TURN[connection.dialect.name]))).scalar_one():
                return 0
            events = await EventRepository(turn).due(BATCH)
            if not events:
                return 0
            delivery = await self.kafka.deliver(events)
            async with transaction(self.database.writers) as session:
                repository = EventRepository(session)
                await repository.delivered(delivery.delivered)
                for event, reason in delivery.refused:
                    logger.error(
                        "outbox: Kafka refuses an event", event_id=str(event.id), type=event.name, error=reason
                    )
                    await repository.refused(event, reason)
        return len(delivery.delivered)
