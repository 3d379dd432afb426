"""Subscriptions: events are handled in order, blocked events are not lost, and a stop lets running functions finish."""

import asyncio
import logging
from contextlib import closing, suppress
from typing import cast
from uuid import uuid4

import pytest
from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from faststream.confluent import KafkaBroker
from faststream.confluent.helpers.client import AsyncConfluentConsumer
from faststream.confluent.subscriber.usecase import BatchSubscriber
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.testing import capture_logs

from app.core.openapi import api_metadata
from app.db.session import Database
from app.messaging import listening as ways
from app.messaging.consumers import Consumer
from app.messaging.contracts import Topic
from app.messaging.listening import listening
from app.messaging.settings import KafkaConfig
from app.outbox.errors import RetryLater
from app.outbox.poller import DestinationUnavailable
from tests.messaging.conftest import (
    GIVEN,
    RecordingConsumer,
    SampleEvent,
    committed_offset,
    make_message_bytes,
    recorded_effects,
    send_messages,
)
from tests.waiting import TIMEOUT_SECONDS, wait_until

KEYS = [f"key-{number}" for number in range(6)]
LAST = 9


def numbers(seen: RecordingConsumer, key: str) -> list[int]:
    """Return the handled numbers of a key, without repetitions."""
    return list(dict.fromkeys(int(number) for who, number in map(str.split, seen.here) if who == key))


async def test_blocked_events_are_kept_and_running_functions_finish_at_stop(
    empty_database: Database, kafka: KafkaConfig, topic: Topic, recording_consumer: RecordingConsumer
) -> None:
    """With one message per batch, messages of other partitions could overtake the blocked one, and commit past it.

    Both consumers are tested together, because Kafka needs some seconds for each new consumer.
    """
    recording_consumer.fails = {f"{key} 2": RetryLater("not yet") for key in KEYS}
    slow, begun, go_on = Consumer(f"test-{uuid4().hex}"), asyncio.Event(), asyncio.Event()
    ended: list[int] = []

    @slow.on(SampleEvent)
    async def linger(session: AsyncSession, event: SampleEvent) -> None:
        if event.number == LAST:
            begun.set()
            await go_on.wait()
        ended.append(event.number)

    send_messages(kafka, topic, *(make_message_bytes(key, number) for number in range(5) for key in KEYS))
    with capture_logs() as lines:
        both = listening(empty_database, kafka, [recording_consumer.consumer, slow], batch=1, pause_seconds=0.2)
        async with asyncio.timeout(TIMEOUT_SECONDS), both as broker:
            broker.config.broker_config.graceful_timeout = 2 * TIMEOUT_SECONDS  # do not abort a delayed stop
            await wait_until(lambda: sum(what.endswith(" 2") for what in recording_consumer.here) >= 3)
            recording_consumer.fails.pop(recording_consumer.here[-1])
            await wait_until(lambda: sum(what.endswith(" 2") for what in recording_consumer.here) >= 6)
            send_messages(kafka, topic, make_message_bytes("last", LAST))
            await begun.wait()
            asyncio.get_running_loop().call_later(0.3, go_on.set)

    assert ended[-1] == LAST
    assert committed_offset(kafka, slow.group, topic) == len(ended)
    assert (
        committed_offset(kafka, recording_consumer.consumer.group, topic)
        == len(await recorded_effects(empty_database))
        > 0
    )
    for key in KEYS:
        assert numbers(recording_consumer, key) == list(range(5))[: len(numbers(recording_consumer, key))]
    waits = [line for line in lines if line["event"] == "consumer blocked, retrying"]
    assert {(line["error"], line["exception"]) for line in waits} == {("RetryLater: not yet", None)}


async def test_unhandled_events_are_not_committed_by_concurrent_commits(
    empty_database: Database,
    kafka: KafkaConfig,
    topic: Topic,
    recording_consumer: RecordingConsumer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The commit of FastStream may run while the next messages are fetched."""
    recording_consumer.fails = {"ada 2": RetryLater("not yet")}
    caplog.set_level(logging.INFO)
    send_messages(kafka, topic, *(make_message_bytes("ada", number) for number in range(4)))
    async with listening(empty_database, kafka, [recording_consumer.consumer], batch=1) as broker:
        await wait_until(lambda: "ada 2" in recording_consumer.here)
        consumer = cast("BatchSubscriber", broker.subscribers[0]).consumer
        assert consumer is not None
        with suppress(KafkaException):  # raised if there are no new offsets
            await consumer.commit(asynchronous=False)

    assert committed_offset(kafka, recording_consumer.consumer.group, topic) == 2
    assert [each.name for each in caplog.records if "faststream" in each.name] == [], "FastStream must log nothing"


def test_offsets_of_reassigned_partitions_are_not_stored(kafka: KafkaConfig) -> None:
    with closing(KafkaConsumer(kafka | {"group.id": "tests", "enable.auto.offset.store": False})) as reader:
        ways._note(reader, [Message(topic="users", partition=0, offset=1)])

        assert reader.committed([TopicPartition("users", 0)], timeout=TIMEOUT_SECONDS)[0].offset < 0


@pytest.mark.skipif(GIVEN is None, reason="the in-process broker does not readmit consumers that it considered dead")
async def test_consumer_continues_after_rebalance(
    empty_database: Database, kafka: KafkaConfig, topic: Topic, recording_consumer: RecordingConsumer
) -> None:
    """Kafka reassigns the partitions of a slow consumer. The consumer must survive that."""
    impatient = kafka | {"max.poll.interval.ms": 6000, "session.timeout.ms": 6000}  # the minimum that Kafka accepts
    slow, done = Consumer(f"test-{uuid4().hex}"), []

    @slow.on(SampleEvent)
    async def linger(_: AsyncSession, event: SampleEvent) -> None:
        if event.number == 1 and not done:
            await asyncio.sleep(8)
        done.append(event.number)

    send_messages(kafka, topic, make_message_bytes("a", 1))
    async with listening(empty_database, impatient, [slow]):
        await wait_until(lambda: done == [1])
        send_messages(kafka, topic, make_message_bytes("a", 2))
        await wait_until(lambda: 2 in done)

    assert done == [1, 2]


async def test_failed_commit_is_repeated(
    empty_database: Database,
    kafka: KafkaConfig,
    topic: Topic,
    recording_consumer: RecordingConsumer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Kafka may be restarting or rebalancing, and the next event may be far away."""
    tell, lost = AsyncConfluentConsumer.commit, []

    async def commit(consumer: AsyncConfluentConsumer, asynchronous: bool = True) -> None:
        if len(lost) < 3:
            lost.append(consumer)
            raise KafkaException(KafkaError(KafkaError.REBALANCE_IN_PROGRESS))
        await tell(consumer, asynchronous)

    monkeypatch.setattr(AsyncConfluentConsumer, "commit", commit)
    send_messages(kafka, topic, *(make_message_bytes("ada", number) for number in range(4)))
    async with listening(empty_database, kafka, [recording_consumer.consumer], tell_seconds=0.2):
        await wait_until(lambda: "ada 3" in recording_consumer.here)
        await wait_until(lambda: len(lost) == 3)
        await wait_until(lambda: committed_offset(kafka, recording_consumer.consumer.group, topic) == 4)


async def test_unavailable_kafka_is_reported() -> None:
    with pytest.raises(DestinationUnavailable, match="Kafka is unavailable"):
        await ways.require_answer(KafkaBroker("127.0.0.1:1"))


def test_group_contains_names_of_service_and_consumer(recording_consumer: RecordingConsumer) -> None:
    assert recording_consumer.consumer.group == f"{api_metadata()['name']}.{recording_consumer.consumer.name}"
