"""The inbox: each consumer handles each event once, or keeps it as a dead letter.

A failing event is retried a few times, and then becomes a dead letter: an outbox row that
`app dead-letters` shows. The events behind it continue. An outage of the database is not a
failure of the event, so the consumer waits for it.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from typing import TypeVar

import structlog
from pydantic import ValidationError
from sqlmodel import Field, col
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.contextvars import bound_contextvars

from app.db import dialect
from app.db.base import Expiring, utc_now
from app.db.dialect import is_unavailable
from app.db.session import Database, transaction
from app.messaging.consumers import Consumer, ContractViolation
from app.messaging.envelope import CloudEvent
from app.outbox.errors import RetryLater, describe_error, error_fields
from app.outbox.models import OutboxMessage
from app.outbox.repository import OutboxRepository, truncate_error

TO_CONSUMERS = "consumers"  # the queue is the name of the consumer
RETRY_DELAYS_SECONDS = (0.2, 1.0)
# Event ids are kept for at least this long, and longer than Kafka keeps the events: an event whose id was deleted would
# be handled again. Kafka deletes expired events a while after their retention period.
MIN_DEDUPLICATION_PERIOD = timedelta(days=30)
RETENTION_MARGIN = timedelta(days=1)
# Time per batch for retries with pauses: Kafka considers a consumer dead that is busy for 5 minutes.
RETRY_BUDGET_SECONDS = 60.0

T = TypeVar("T")

logger = structlog.get_logger(__name__)


class ProcessedEvent(Expiring, table=True):
    """An event that a consumer has handled. Kept longer than the event can be delivered again."""

    __tablename__ = "processed_event"

    id: str = Field(max_length=500, primary_key=True)  # consumer and event; one column for `db/expiry.py`


# If a concurrent transaction has inserted the same id, this waits for its commit, and then skips the id.
INSERT_NEW_IDS = dialect.insert(ProcessedEvent).on_conflict_do_nothing().returning(col(ProcessedEvent.id))


class Inbox:
    """Handles the events of one consumer."""

    def __init__(
        self,
        database: Database,
        consumer: Consumer,
        retry_delays_seconds: Sequence[float] = RETRY_DELAYS_SECONDS,
        retry_budget_seconds: float = RETRY_BUDGET_SECONDS,
    ) -> None:
        """Handle events of `consumer`. After `retry_budget_seconds`, retries of a batch no longer pause.

        Raises:
            ValueError: If the consumer subscribes to a compacted topic.
        """
        longest = max((topic.retention for topic in consumer.topics), default=timedelta())
        self.database = database
        self.consumer = consumer
        self.deduplication_period = max(MIN_DEDUPLICATION_PERIOD, longest + RETENTION_MARGIN)
        self.retry_delays_seconds = retry_delays_seconds
        self.retry_budget_seconds = retry_budget_seconds

    async def process_batch(self, messages: Sequence[bytes]) -> None:
        """Handle messages in order. When it returns, all of them are handled or dead letters.

        Raises:
            OperationalError: If the database is unavailable. All messages must be delivered again.
            RetryLater: If a function asks for a later retry.
        """
        envelopes: list[CloudEvent] = []
        for message in messages:
            try:
                envelope = CloudEvent.model_validate_json(message)
            except ValidationError as error:
                key = f"{self.consumer.name} {sha256(message).hexdigest()}"
                with bound_contextvars(consumer=self.consumer.name):
                    await self._dead_letter("invalid event", key, _decode(message), error)
            else:
                if self.consumer.handles(envelope):
                    envelopes.append(envelope)
        if not envelopes:
            return
        until = time.monotonic() + self.retry_budget_seconds
        try:
            await self._process(envelopes)
        except Exception as error:
            if should_wait(error):
                raise
            if len(envelopes) == 1:
                await self._retry_or_dead_letter(envelopes[0], until, error)
                return
            logger.warning(
                "batch of events failed, handling them one by one", consumer=self.consumer.name, **error_fields(error)
            )
            for envelope in envelopes:
                await self._retry_or_dead_letter(envelope, until)

    async def _process(self, envelopes: Sequence[CloudEvent]) -> None:
        async with transaction(self.database.write) as session:
            by_key = {self._deduplication_key(envelope): envelope for envelope in envelopes}
            new = await self._insert_new(session, by_key)
            await self.consumer.handle(session, new)
        log = logger.bind(consumer=self.consumer.name, **(new[0].context if len(new) == 1 else {}))
        log.info("events processed", handled=len(new), duplicates=len(envelopes) - len(new))
        log.debug("ids of processed events", event_ids=[envelope.id for envelope in new])

    async def _retry_or_dead_letter(
        self, envelope: CloudEvent, until: float, first_failure: Exception | None = None
    ) -> None:
        """Handle one event with a few retries, and pauses until `until`. Then make it a dead letter."""
        names = {"consumer": self.consumer.name, "event_id": envelope.id, "type": envelope.type}
        with bound_contextvars(**names, **envelope.context):
            attempts, failure = 1, first_failure or await self._attempt(envelope)
            for delay in self.retry_delays_seconds:
                if failure is None or isinstance(failure, ContractViolation):
                    break
                pause = delay if time.monotonic() < until else 0.0
                logger.warning("event handler failed, retrying", retry_in_seconds=pause, **error_fields(failure))
                await asyncio.sleep(pause)
                attempts, failure = attempts + 1, await self._attempt(envelope)
            if failure is not None:
                key, payload = self._deduplication_key(envelope), envelope.model_dump_json(exclude_none=True)
                await self._dead_letter("event failed permanently", key, payload, failure, envelope, attempts)

    async def _attempt(self, envelope: CloudEvent) -> Exception | None:
        try:
            await self._process([envelope])
        except Exception as error:
            if should_wait(error):
                raise
            return error
        return None

    async def _insert_new(self, session: AsyncSession, by_key: dict[str, T]) -> list[T]:
        """Store the ids of events, and return only the events whose ids are new.

        Ids are inserted in sorted order, so that two transactions with the same events cannot deadlock.
        """
        until = utc_now() + self.deduplication_period
        connection = await session.connection()
        added = await connection.execute(INSERT_NEW_IDS, [{"id": key, "expires_at": until} for key in sorted(by_key)])
        new_keys = set(added.scalars())
        return [value for key, value in by_key.items() if key in new_keys]

    async def _dead_letter(
        self,
        log_event: str,
        key: str,
        payload: str,
        error: Exception,
        envelope: CloudEvent | None = None,
        attempts: int = 1,
    ) -> None:
        """Store a dead letter and log its id, unless another process has done so. For Kafka, the event is handled."""
        message = OutboxMessage(
            destination=TO_CONSUMERS,
            queue=self.consumer.name,
            name=envelope.type if envelope else "unknown",
            payload=payload,
            request_id=(envelope.requestid if envelope else None) or "",
            attempts=attempts,
            last_error=truncate_error(describe_error(error)),
            dead_at=utc_now(),
        )
        async with transaction(self.database.write) as session:
            if not await self._insert_new(session, {key: payload}):
                return
            OutboxRepository(session).add(message)
        logger.error(log_event, dead_letter_id=str(message.id), **error_fields(error))

    def _deduplication_key(self, envelope: CloudEvent) -> str:
        """Return the id of an event for this consumer. Ids are unique within their source (CloudEvents 1.0, 3.1)."""
        return f"{self.consumer.name} {envelope.source} {envelope.id}"


def should_wait(error: Exception) -> bool:
    """Return whether an error is unrelated to the event, so the consumer must wait and retry the batch."""
    return isinstance(error, RetryLater) or is_unavailable(error)


def _decode(message: bytes) -> str:
    """Decode any bytes. NUL, which PostgreSQL cannot store, is replaced."""
    return message.decode(errors="replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")
