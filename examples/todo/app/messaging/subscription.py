"""Runs consumers: reads batches of messages from Kafka, and commits the position after each processed batch."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import structlog
from confluent_kafka import KafkaException, Message
from confluent_kafka.aio import AIOConsumer

from app.db.session import Database
from app.messaging.consumers import Consumer
from app.messaging.inbox import Inbox
from app.messaging.settings import KafkaConfig
from app.outbox.background import finish_before_cancel, run_in_background, wait_for_event
from app.outbox.errors import error_fields

EVENTS_PER_BATCH = 500
POLL_SECONDS = 0.5  # a stop waits for a poll that is running
RETRY_SECONDS = 1.0  # before a blocked batch is retried
STOP_SECONDS = 15.0  # a batch that takes longer is rolled back, and another process handles it
# The names are those of librdkafka's CONFIGURATION.md.
CONSUMER_CONFIG: KafkaConfig = {
    "auto.offset.reset": "earliest",  # new consumers start with the oldest event
    "isolation.level": "read_committed",
    "partition.assignment.strategy": "cooperative-sticky",  # unaffected partitions continue during a rebalance
    "session.timeout.ms": 10_000,  # then Kafka assigns the partitions of a crashed process to others
    "enable.auto.offset.store": False,  # by default, librdkafka also commits messages that are not processed yet
    "enable.auto.commit": True,  # of stored offsets: periodically, before partitions are reassigned, and at the end
    "auto.commit.interval.ms": 1_000,
    "allow.auto.create.topics": False,
}

logger = structlog.get_logger(__name__)


@asynccontextmanager
async def run_consumers(
    database: Database,
    client: KafkaConfig,
    consumers: Iterable[Consumer],
    batch_size: int = EVENTS_PER_BATCH,
    retry_seconds: float = RETRY_SECONDS,
    stop_seconds: float = STOP_SECONDS,
) -> AsyncGenerator[None]:
    """Run consumers in the background of the block. At its end, running batches finish first.

    Raises:
        ValueError: If a consumer subscribes to a compacted topic.
        KafkaException: If the client configuration is invalid.
    """
    stopping = asyncio.Event()
    async with AsyncExitStack() as stack:
        try:
            for consumer in consumers:
                inbox = Inbox(database, consumer)
                # The default is 100 threads, but calls on a client wait for each other.
                threads = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix=consumer.name))
                own: dict[str, Any] = {"group.id": consumer.group, "logger": logging.getLogger(__name__)}
                kafka = AIOConsumer(CONSUMER_CONFIG | client | own, executor=threads)
                work = Subscription(inbox, kafka, stopping, batch_size, retry_seconds).run()
                await stack.enter_async_context(run_in_background(finish_before_cancel(work, stop_seconds)))
            yield
        finally:
            stopping.set()


class Subscription:
    """Passes the messages of a consumer's topics to its inbox."""

    def __init__(
        self, inbox: Inbox, kafka: AIOConsumer, stopping: asyncio.Event, batch_size: int, retry_seconds: float
    ) -> None:
        """Read with the client `kafka` until `stopping` is set. A blocked batch is retried every `retry_seconds`."""
        self.inbox = inbox
        self.kafka = kafka
        self.stopping = stopping
        self.batch_size = batch_size
        self.retry_seconds = retry_seconds

    async def run(self) -> None:
        """Process batches until stopped. Then commit the position, and leave the group."""
        try:
            await self.kafka.subscribe([topic.name for topic in self.inbox.consumer.topics])
            while not self.stopping.is_set():
                messages = await self._next_batch()
                if messages and await self._process(messages):
                    await self._store_offsets(messages)
        finally:
            await self.kafka.close()

    async def _next_batch(self) -> Sequence[Message]:
        """Return the messages that have arrived; none if there are none within `POLL_SECONDS`.

        `consume` with a timeout waits until the batch is full, even if messages have arrived.
        """
        first = await self.kafka.poll(POLL_SECONDS)
        if first is None:
            return ()
        received = [first, *await self.kafka.consume(self.batch_size - 1, 0)]
        for each in received:
            if (error := each.error()) is not None:
                logger.warning("Kafka reported an error", consumer=self.inbox.consumer.name, error=error.str())
        return [each for each in received if each.error() is None]

    async def _process(self, messages: Sequence[Message]) -> bool:
        """Process a batch, with retries until it succeeds. Return False if the consumer stops first.

        A batch is never skipped, because the offsets of later messages would include it. If it is blocked for more
        than 5 minutes, Kafka assigns its partitions to another process; the inbox then skips what is handled twice.
        """
        values = [value for each in messages if (value := each.value()) is not None]  # None marks a deleted key
        while True:
            try:
                await self.inbox.process_batch(values)
            except Exception as error:  # noqa: BLE001 - whatever it is, the batch must not be skipped
                logger.warning(
                    "consumer blocked, retrying",
                    consumer=self.inbox.consumer.name,
                    retry_in_seconds=self.retry_seconds,
                    **error_fields(error),
                )
            else:
                return True
            await wait_for_event(self.stopping, self.retry_seconds)
            if self.stopping.is_set():
                return False

    async def _store_offsets(self, messages: Sequence[Message]) -> None:
        for last in {(each.topic(), each.partition()): each for each in messages}.values():
            with suppress(KafkaException):  # the partition was reassigned, so the messages are delivered again
                await self.kafka.store_offsets(last)
