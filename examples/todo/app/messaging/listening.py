"""Subscribes consumers to Kafka with FastStream: batches of messages, with positions committed after them."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import cast

import structlog
from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import KafkaException, Message
from faststream import AckPolicy
from faststream.confluent import KafkaBroker
from faststream.confluent.helpers.client import AsyncConfluentConsumer
from faststream.confluent.message import KafkaMessage
from faststream.confluent.subscriber.usecase import BatchSubscriber
from faststream.exceptions import NackMessage

from app.db.session import Database
from app.messaging.consumers import Consumer
from app.messaging.inbox import Inbox, should_wait
from app.messaging.settings import KafkaConfig
from app.outbox.background import run_in_background
from app.outbox.errors import describe_error, format_error_traceback
from app.outbox.poller import DestinationUnavailable

BATCH = 500
ONE_BY_ONE = 20  # each may be slow, and Kafka considers a consumer dead that is busy for 5 minutes
PAUSE_SECONDS = 1.0  # before a blocked batch is retried; delays a stop
PING_SECONDS = 1.5
TELL_SECONDS = 1.0  # between two commits of positions

logger = structlog.get_logger(__name__)
_faststream = logging.getLogger(f"{__name__}.faststream")
_faststream.setLevel(logging.ERROR)  # it warns that it creates no topics, and logs each task that ends
# Its unused producer gets the configuration of the consumers, and warns about that.
_faststream.addFilter(lambda record: "is a consumer property" not in record.getMessage())


@asynccontextmanager
async def listening(
    database: Database,
    client: KafkaConfig,
    consumers: Sequence[Consumer],
    batch: int = BATCH,
    pause_seconds: float = PAUSE_SECONDS,
    tell_seconds: float = TELL_SECONDS,
) -> AsyncGenerator[KafkaBroker]:
    """Run consumers in the background of the block. At its end, running functions finish first."""
    broker = KafkaBroker(
        str(client["bootstrap.servers"]),
        allow_auto_create_topics=False,  # otherwise it creates topics with one partition, and may lack the permission
        apply_types=False,
        config=client | {"enable.auto.offset.store": False},  # ty: ignore[invalid-argument-type] - passed on unchanged
        logger=_faststream,
        log_level=logging.DEBUG,
    )
    stopping = asyncio.Event()
    for consumer in consumers:
        _subscribe(broker, Inbox(database, consumer), stopping, batch, pause_seconds)
    async with broker:
        await broker.start()
        async with run_in_background(_telling(broker, tell_seconds)):
            try:
                yield broker
            finally:
                stopping.set()  # blocked batches are returned to Kafka


async def require_answer(broker: KafkaBroker) -> None:
    """Check that Kafka is reachable.

    Raises:
        DestinationUnavailable: If it is unreachable.
    """
    if not await broker.ping(PING_SECONDS):
        raise DestinationUnavailable("Kafka is unavailable")


def _subscribe(
    broker: KafkaBroker, inbox: Inbox, stopping: asyncio.Event, batch_size: int, pause_seconds: float
) -> None:
    subscriber = broker.subscriber(
        *(topic.name for topic in inbox.consumer.topics),
        group_id=inbox.consumer.group,
        auto_offset_reset="earliest",  # new consumers start with the oldest event
        isolation_level="read_committed",
        partition_assignment_strategy=["cooperative-sticky"],  # unaffected partitions continue during a rebalance
        batch=True,
        max_records=ONE_BY_ONE if inbox.consumer.one_by_one else batch_size,
        ack_policy=AckPolicy.NACK_ON_ERROR,  # FastStream's default commits first, and loses failing messages
    )

    async def take(batch: KafkaMessage) -> None:
        """Handle a batch, with retries until it succeeds: after a nack, later messages could commit past it."""
        while True:
            try:
                await inbox.process_batch(_values(batch))
            except Exception as error:
                logger.warning(
                    "consumer blocked, retrying",
                    consumer=inbox.consumer.name,
                    error=describe_error(error),
                    retry_in_seconds=pause_seconds,
                    exception=None if should_wait(error) else format_error_traceback(error),
                )
                await asyncio.sleep(pause_seconds)
                if stopping.is_set():
                    raise NackMessage from error  # delivered again to the consumer that gets the partition
            else:
                consumer = cast("AsyncConfluentConsumer", batch.consumer)
                return _note(consumer.consumer, _raw(batch))

    subscriber(take, decoder=_as_it_is)


def _note(consumer: KafkaConsumer, done: Sequence[Message]) -> None:
    """Store the offsets of handled messages. By default, librdkafka stores those of fetched messages.

    FastStream's own commit may run while the next messages are fetched, and would then commit
    those, too.
    """
    for last in {(each.topic(), each.partition()): each for each in done}.values():
        with suppress(KafkaException):  # the partition was reassigned, so the messages are delivered again
            consumer.store_offsets(last)


async def _telling(broker: KafkaBroker, tell_seconds: float) -> None:
    """Commit the stored offsets periodically.

    FastStream commits once, without waiting for the response. If Kafka is restarting or rebalancing
    at that time, the position would only be committed with the next event, and the consumer would
    seem to lag until then.
    """
    subscribers = cast("list[BatchSubscriber]", broker.subscribers)
    ways = [cast("AsyncConfluentConsumer", each.consumer).commit for each in subscribers]
    while True:
        await asyncio.sleep(tell_seconds)
        for tell in ways:
            with suppress(KafkaException):  # no new offsets
                await tell()


def _raw(batch: KafkaMessage) -> tuple[Message, ...]:
    return cast("tuple[Message, ...]", batch.raw_message)  # with batch=True


def _values(batch: KafkaMessage) -> list[bytes]:
    values = (each.value() for each in _raw(batch))
    return [value for value in values if value is not None]  # a tombstone: deletes a key in a compacted topic


async def _as_it_is(message: KafkaMessage) -> KafkaMessage:
    return message
