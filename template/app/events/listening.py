"""Listening to Kafka, with FastStream: it brings messages in batches, and commits positions after them."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import cast

import structlog
from confluent_kafka import Consumer as Reader
from confluent_kafka import KafkaException, Message
from faststream import AckPolicy
from faststream.confluent import KafkaBroker
from faststream.confluent.helpers.client import AsyncConfluentConsumer
from faststream.confluent.message import KafkaMessage
from faststream.confluent.subscriber.usecase import BatchSubscriber
from faststream.exceptions import NackMessage

from app.db.session import Database
from app.events.consumers import Consumer
from app.events.inbox import Inbox, is_waited_for
from app.events.settings import Client
from app.outbox.background import going_on
from app.outbox.failures import said, traced
from app.outbox.relay import Unavailable

BATCH = 500
ONE_BY_ONE = 20  # each may be slow, and Kafka takes a consumer that is busy for 5 minutes for dead
PAUSE_SECONDS = 1.0  # before what could not be done is tried again; a stop waits for it
PING_SECONDS = 1.5
TELL_SECONDS = 1.0  # between two times that Kafka is told what is done

logger = structlog.get_logger(__name__)
_faststream = logging.getLogger(f"{__name__}.faststream")
_faststream.setLevel(logging.ERROR)  # it warns that it creates no topics, and tells of each task that ends
# Its producer, which nobody uses, is told the same as its consumers, and warns of that.
_faststream.addFilter(lambda record: "is a consumer property" not in record.getMessage())


@asynccontextmanager
async def listening(
    database: Database,
    client: Client,
    consumers: Sequence[Consumer],
    batch: int = BATCH,
    pause_seconds: float = PAUSE_SECONDS,
    tell_seconds: float = TELL_SECONDS,
) -> AsyncGenerator[KafkaBroker]:
    """Let consumers do what comes while the block runs. At its end, those under way end first."""
    broker = KafkaBroker(
        str(client["bootstrap.servers"]),
        allow_auto_create_topics=False,  # otherwise it creates them with a partition each, by an API that may be refused
        apply_types=False,
        config=client | {"enable.auto.offset.store": False},  # ty: ignore[invalid-argument-type] - it passes on any
        logger=_faststream,
        log_level=logging.DEBUG,
    )
    stopping = asyncio.Event()
    for consumer in consumers:
        _subscribe(broker, Inbox(database, consumer), stopping, batch, pause_seconds)
    async with broker:
        await broker.start()
        async with going_on(_telling(broker, tell_seconds)):
            try:
                yield broker
            finally:
                stopping.set()  # what waits gives back what it has


async def require_answer(broker: KafkaBroker) -> None:
    """Ask whether Kafka is there.

    Raises:
        Unavailable: If it is not.
    """
    if not await broker.ping(PING_SECONDS):
        raise Unavailable("Kafka does not answer")


def _subscribe(
    broker: KafkaBroker, inbox: Inbox, stopping: asyncio.Event, batch_size: int, pause_seconds: float
) -> None:
    subscriber = broker.subscriber(
        *(topic.name for topic in inbox.consumer.topics),
        group_id=inbox.consumer.group,
        auto_offset_reset="earliest",  # a new consumer begins with all there is
        isolation_level="read_committed",
        partition_assignment_strategy=["cooperative-sticky"],  # those that stay where they are go on meanwhile
        batch=True,
        max_records=ONE_BY_ONE if inbox.consumer.one_by_one else batch_size,
        ack_policy=AckPolicy.NACK_ON_ERROR,  # FastStream's default commits first, and loses what then fails
    )

    async def take(batch: KafkaMessage) -> None:
        """Hold on to them until they are done: what goes back to Kafka could be committed with those behind it."""
        while True:
            try:
                await inbox.take(_values(batch))
            except Exception as error:
                logger.warning(
                    "events: not done, waiting",
                    consumer=inbox.consumer.name,
                    error=said(error),
                    again_in_seconds=pause_seconds,
                    exception=None if is_waited_for(error) else traced(error),
                )
                await asyncio.sleep(pause_seconds)
                if stopping.is_set():
                    raise NackMessage from error  # it comes again, wherever this consumer goes on
            else:
                consumer = cast("AsyncConfluentConsumer", batch.consumer)
                return _note(consumer.consumer, _raw(batch))

    subscriber(take, decoder=_as_it_is)


def _note(consumer: Reader, done: Sequence[Message]) -> None:
    """Note what is done. Left to itself, librdkafka notes what it hands out.

    FastStream's own commit may be under way while the next messages are handed out, and would
    tell Kafka that they are done, too.
    """
    for last in {(each.topic(), each.partition()): each for each in done}.values():
        with suppress(KafkaException):  # it belongs to another consumer by now, to whom it comes again
            consumer.store_offsets(last)


async def _telling(broker: KafkaBroker, tell_seconds: float) -> None:
    """Tell Kafka again and again what is noted.

    FastStream tells it once, and does not wait for the answer. If Kafka is starting again just
    then, or shares out its partitions anew, a position would be told with the next event only, and
    all until then would seem to be behind.
    """
    subscribers = cast("list[BatchSubscriber]", broker.subscribers)
    ways = [cast("AsyncConfluentConsumer", each.consumer).commit for each in subscribers]
    while True:
        await asyncio.sleep(tell_seconds)
        for tell in ways:
            with suppress(KafkaException):  # there is nothing that it does not know
                await tell()


def _raw(batch: KafkaMessage) -> tuple[Message, ...]:
    return cast("tuple[Message, ...]", batch.raw_message)  # with batch=True


def _values(batch: KafkaMessage) -> list[bytes]:
    values = (each.value() for each in _raw(batch))
    return [value for value in values if value is not None]  # one without a value says: forget this key


async def _as_it_is(message: KafkaMessage) -> KafkaMessage:
    return message
