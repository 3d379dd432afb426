"""Listening to Kafka, with FastStream: it brings messages in batches, and commits positions after them."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import cast

import structlog
from confluent_kafka import Consumer as Reader
from confluent_kafka import KafkaError, KafkaException, Message
from faststream import AckPolicy
from faststream.confluent import KafkaBroker
from faststream.confluent.helpers.client import AsyncConfluentConsumer
from faststream.confluent.message import KafkaMessage
from faststream.exceptions import NackMessage

from app.core.openapi import about
from app.db.session import Database
from app.events.consumers import Consumer
from app.events.inbox import Inbox, is_waited_for
from app.events.settings import Client
from app.outbox.failures import said, traced
from app.outbox.relay import Unavailable

BATCH = 500
ONE_BY_ONE = 20  # each may be slow, and Kafka takes a consumer that is busy for 5 minutes for dead
PAUSE_SECONDS = 1.0  # before what could not be done is tried again; a stop waits for it
PING_SECONDS = 1.5
# Kafka is away, or starting again: it has not said no.
UNANSWERED = {
    KafkaError._TRANSPORT,  # noqa: SLF001 - the names of librdkafka
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
    KafkaError._TIMED_OUT,  # noqa: SLF001
    KafkaError._WAIT_COORD,  # noqa: SLF001
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.REQUEST_TIMED_OUT,
}

logger = structlog.get_logger(__name__)
_faststream = logging.getLogger(f"{__name__}.faststream")
_faststream.setLevel(logging.ERROR)  # it warns that it creates no topics, and tells of each task that ends
# Its producer, which nobody uses, is told the same as its consumers, and warns of that.
_faststream.addFilter(lambda record: "is a consumer property" not in record.getMessage())


@asynccontextmanager
async def listening(database: Database, client: Client, consumers: Sequence[Consumer]) -> AsyncGenerator[KafkaBroker]:
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
        _subscribe(broker, Inbox(database, consumer), stopping)
    async with broker:
        await broker.start()
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


def group(consumer: Consumer) -> str:
    """Name the group under which Kafka remembers the position of a consumer."""
    return f"{about()['name']}.{consumer.name}"


def _subscribe(broker: KafkaBroker, inbox: Inbox, stopping: asyncio.Event) -> None:
    subscriber = broker.subscriber(
        *(topic.name for topic in inbox.consumer.topics),
        group_id=group(inbox.consumer),
        auto_offset_reset="earliest",  # a new consumer begins with all there is
        isolation_level="read_committed",
        partition_assignment_strategy=["cooperative-sticky"],  # those that stay where they are go on meanwhile
        batch=True,
        max_records=ONE_BY_ONE if inbox.consumer.one_by_one else BATCH,
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
                    again_in_seconds=PAUSE_SECONDS,
                    exception=None if is_waited_for(error) else traced(error),
                )
                await asyncio.sleep(PAUSE_SECONDS)
                if stopping.is_set():
                    raise NackMessage from error  # it comes again, wherever this consumer goes on
            else:
                consumer = cast("AsyncConfluentConsumer", batch.consumer)
                _note(consumer.consumer, _raw(batch))
                return await _commit(consumer, stopping)

    subscriber(take, decoder=_as_it_is)


def _note(consumer: Reader, done: Sequence[Message]) -> None:
    """Note what is done. Left to itself, librdkafka notes what it hands out.

    FastStream's own commit may be under way while the next messages are handed out, and would
    tell Kafka that they are done, too.
    """
    for last in {(each.topic(), each.partition()): each for each in done}.values():
        with suppress(KafkaException):  # it belongs to another consumer by now, to whom it comes again
            consumer.store_offsets(last)


async def _commit(consumer: AsyncConfluentConsumer, stopping: asyncio.Event) -> None:
    """Tell what is noted, and wait for the answer.

    FastStream does not wait. Then a position that Kafka could not note, because it was just
    starting again, is told with the next event only, and all of them seem to be behind.
    """
    tell = partial(consumer.commit, asynchronous=False)
    while True:
        try:
            return await tell()
        except KafkaException as error:
            if error.args[0].code() not in UNANSWERED:
                return None  # it belongs to another consumer by now, to whom they come again
        await asyncio.sleep(PAUSE_SECONDS)
        if stopping.is_set():
            return None


def _raw(batch: KafkaMessage) -> tuple[Message, ...]:
    return cast("tuple[Message, ...]", batch.raw_message)  # with batch=True


def _values(batch: KafkaMessage) -> list[bytes]:
    values = (each.value() for each in _raw(batch))
    return [value for value in values if value is not None]  # one without a value says: forget this key


async def _as_it_is(message: KafkaMessage) -> KafkaMessage:
    return message
