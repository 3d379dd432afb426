"""Subscriptions: events are handled in order, blocked events are not lost, and a stop lets running functions finish."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import cast
from uuid import uuid4

import pytest
from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka.aio import AIOConsumer
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.testing import capture_logs

from app.core.openapi import api_metadata
from app.db.session import Database
from app.messaging.consumers import Consumer
from app.messaging.contracts import Topic
from app.messaging.inbox import Inbox
from app.messaging.settings import KafkaConfig
from app.messaging.subscription import Subscription, run_consumers
from app.outbox.errors import RetryLater
from tests.messaging.conftest import (
    KAFKA_SERVERS,
    RecordingConsumer,
    SampleEvent,
    committed_offset,
    make_message_bytes,
    recorded_effects,
    send_messages,
)
from tests.waiting import TIMEOUT_SECONDS, wait_until

KEYS = [f"key-{number}" for number in range(6)]
LAST_NUMBER = 9
# Kafka accepts 6 seconds or more. The in-process broker rebalances only after this time, and needs more than 3 seconds.
SHORT_SESSION: KafkaConfig = {"session.timeout.ms": 6_000 if KAFKA_SERVERS else 4_000, "heartbeat.interval.ms": 500}


def handled_numbers(consumer: RecordingConsumer, key: str) -> list[int]:
    """Return the handled numbers of a key, without repetitions."""
    return list(dict.fromkeys(int(number) for who, number in map(str.split, consumer.handled) if who == key))


async def test_blocked_events_are_kept_and_running_functions_finish_at_stop(
    empty_database: Database, kafka: KafkaConfig, topic: Topic, recording_consumer: RecordingConsumer
) -> None:
    """With one message per batch, messages of other partitions could overtake the blocked one, and commit past it.

    Both consumers are tested together, because Kafka needs some seconds for each new consumer.
    """
    recording_consumer.errors = {f"{key} 2": RetryLater("not yet") for key in KEYS}
    slow, started, proceed = Consumer(f"test-{uuid4().hex}"), asyncio.Event(), asyncio.Event()
    ended: list[int] = []

    @slow.on(SampleEvent)
    async def handle_slowly(session: AsyncSession, event: SampleEvent) -> None:
        if event.number == LAST_NUMBER:
            started.set()
            await proceed.wait()
        ended.append(event.number)

    send_messages(kafka, topic, *(make_message_bytes(key, number) for number in range(5) for key in KEYS))
    with capture_logs() as lines:
        both = run_consumers(
            empty_database,
            kafka,
            [recording_consumer.consumer, slow],
            batch_size=1,
            retry_seconds=0.2,
            stop_seconds=TIMEOUT_SECONDS,
        )
        async with asyncio.timeout(TIMEOUT_SECONDS), both:
            await wait_until(lambda: sum(what.endswith(" 2") for what in recording_consumer.handled) >= 3)
            recording_consumer.errors.pop(recording_consumer.handled[-1])
            await wait_until(lambda: sum(what.endswith(" 2") for what in recording_consumer.handled) >= 6)
            send_messages(kafka, topic, make_message_bytes("last", LAST_NUMBER))
            await started.wait()
            asyncio.get_running_loop().call_later(0.3, proceed.set)

    assert ended[-1] == LAST_NUMBER
    assert committed_offset(kafka, slow.group, topic) == len(ended)
    assert (
        committed_offset(kafka, recording_consumer.consumer.group, topic)
        == len(await recorded_effects(empty_database))
        > 0
    )
    for key in KEYS:
        assert (
            handled_numbers(recording_consumer, key) == list(range(5))[: len(handled_numbers(recording_consumer, key))]
        )
    warnings = [line for line in lines if line["event"] == "consumer blocked, retrying"]
    assert {(line["error"], "exception" in line) for line in warnings} == {("RetryLater: not yet", False)}


async def test_offsets_of_unhandled_messages_are_not_committed(
    empty_database: Database, kafka: KafkaConfig, topic: Topic, recording_consumer: RecordingConsumer
) -> None:
    """The stop does not wait for the next attempt of a blocked batch."""
    recording_consumer.errors = {"ada 2": RetryLater("not yet")}
    group = recording_consumer.consumer.group
    send_messages(kafka, topic, *(make_message_bytes("ada", number) for number in range(4)))
    async with (
        asyncio.timeout(TIMEOUT_SECONDS),
        run_consumers(
            empty_database,
            kafka,
            [recording_consumer.consumer],
            batch_size=1,
            retry_seconds=2 * TIMEOUT_SECONDS,
            stop_seconds=TIMEOUT_SECONDS,
        ),
    ):
        await wait_until(lambda: "ada 2" in recording_consumer.handled)
        await wait_until(lambda: committed_offset(kafka, group, topic) == 2)

    assert committed_offset(kafka, group, topic) == 2
    assert recording_consumer.handled == ["ada 0", "ada 1", "ada 2"]


async def test_offsets_are_committed_while_running(
    empty_database: Database, kafka: KafkaConfig, topic: Topic, recording_consumer: RecordingConsumer
) -> None:
    send_messages(kafka, topic, *(make_message_bytes("ada", number) for number in range(4)))
    async with run_consumers(empty_database, kafka, [recording_consumer.consumer]):
        await wait_until(lambda: committed_offset(kafka, recording_consumer.consumer.group, topic) == 4)


async def test_function_that_does_not_end_is_rolled_back_at_stop(
    empty_database: Database, kafka: KafkaConfig, topic: Topic, recording_consumer: RecordingConsumer
) -> None:
    hanging = asyncio.Event()

    @recording_consumer.consumer.on(SampleEvent)
    async def never_finish(session: AsyncSession, event: SampleEvent) -> None:
        hanging.set()
        await asyncio.Event().wait()

    send_messages(kafka, topic, make_message_bytes("ada", 0))
    async with (
        asyncio.timeout(TIMEOUT_SECONDS),
        run_consumers(empty_database, kafka, [recording_consumer.consumer], stop_seconds=0.1),
    ):
        await hanging.wait()

    assert recording_consumer.handled == ["ada 0"]
    assert await recorded_effects(empty_database) == []
    assert committed_offset(kafka, recording_consumer.consumer.group, topic) == 0


async def test_unexpected_error_is_logged_with_traceback(
    empty_database: Database,
    kafka: KafkaConfig,
    topic: Topic,
    recording_consumer: RecordingConsumer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process_batch, failed = Inbox.process_batch, []

    async def fail_once(inbox: Inbox, messages: list[bytes]) -> None:
        if not failed:
            failed.append(inbox)
            raise ZeroDivisionError("once")
        await process_batch(inbox, messages)

    monkeypatch.setattr(Inbox, "process_batch", fail_once)
    send_messages(kafka, topic, make_message_bytes("ada", 0))
    with capture_logs() as lines:
        async with run_consumers(empty_database, kafka, [recording_consumer.consumer], retry_seconds=0.01):
            await wait_until(lambda: recording_consumer.handled == ["ada 0"])

    [line] = [line for line in lines if line["event"] == "consumer blocked, retrying"]
    assert line["error"] == "ZeroDivisionError: once"
    assert "fail_once" in line["exception"]


async def test_partitions_move_between_processes(
    empty_database: Database, kafka: KafkaConfig, topic: Topic, recording_consumer: RecordingConsumer
) -> None:
    """A second process joins the group, and the first one leaves it."""
    second, taken_over = RecordingConsumer(f"test-{uuid4().hex}"), asyncio.Event()
    second.consumer.name = recording_consumer.consumer.name  # as in another process of the same service
    second.handled = recording_consumer.handled

    @second.consumer.on(SampleEvent)
    async def record_takeover(session: AsyncSession, event: SampleEvent) -> None:
        taken_over.set()

    rounds = 0

    async def handle_round() -> None:
        nonlocal rounds
        send_messages(kafka, topic, *(make_message_bytes(key, rounds) for key in KEYS))
        rounds += 1
        await wait_until(lambda: len(set(recording_consumer.handled)) == rounds * len(KEYS))

    client = kafka | SHORT_SESSION
    async with asyncio.timeout(TIMEOUT_SECONDS), AsyncExitStack() as stack:
        async with run_consumers(empty_database, client, [recording_consumer.consumer]):
            await handle_round()
            await stack.enter_async_context(run_consumers(empty_database, client, [second.consumer]))
            while not taken_over.is_set():
                await handle_round()
        await handle_round()

    assert {key: handled_numbers(recording_consumer, key) for key in KEYS} == {key: list(range(rounds)) for key in KEYS}
    assert len(await recorded_effects(empty_database)) == rounds * len(KEYS)
    assert committed_offset(kafka, second.consumer.group, topic) == rounds * len(KEYS)


@pytest.mark.skipif(
    KAFKA_SERVERS is None, reason="the in-process broker does not readmit consumers that it considered dead"
)
async def test_consumer_continues_after_it_was_considered_dead(
    empty_database: Database, kafka: KafkaConfig, topic: Topic, recording_consumer: RecordingConsumer
) -> None:
    """Kafka reassigns the partitions of a slow consumer. The consumer must survive that."""
    short_timeouts = kafka | SHORT_SESSION | {"max.poll.interval.ms": 6_000}
    slow, done = Consumer(f"test-{uuid4().hex}"), []

    @slow.on(SampleEvent)
    async def handle_slowly(_: AsyncSession, event: SampleEvent) -> None:
        if event.number == 1 and not done:
            await asyncio.sleep(8)
        done.append(event.number)

    send_messages(kafka, topic, make_message_bytes("a", 1))
    with capture_logs() as lines:
        async with run_consumers(empty_database, short_timeouts, [slow]):
            await wait_until(lambda: done == [1])
            send_messages(kafka, topic, make_message_bytes("a", 2))
            await wait_until(lambda: 2 in done)

    assert done == [1, 2]
    assert "Kafka reported an error" in [line["event"] for line in lines]


async def test_offsets_of_reassigned_partitions_are_not_stored(
    empty_database: Database, kafka: KafkaConfig, topic: Topic, recording_consumer: RecordingConsumer
) -> None:
    inbox = Inbox(empty_database, recording_consumer.consumer)
    with ThreadPoolExecutor(1) as threads:
        config = kafka | {"group.id": inbox.consumer.group, "enable.auto.offset.store": False}
        client = AIOConsumer(config, executor=threads)
        with pytest.raises(KafkaException):
            await client.store_offsets(Message(topic=topic.name, partition=0, offset=1))
        subscription = Subscription(inbox, client, asyncio.Event(), 1, 0)
        await subscription._store_offsets([Message(topic=topic.name, partition=0, offset=1)])
        await client.close()

    assert committed_offset(kafka, inbox.consumer.group, topic) == 0


class FailingKafkaClient:
    """A client that returns an error between two messages."""

    async def poll(self, _: float) -> Message:
        return Message(topic="users", value=b"first")

    async def consume(self, *_: float) -> list[Message]:
        return [Message(error=KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "no")), Message(value=b"last")]


async def test_errors_of_kafka_are_logged(empty_database: Database, recording_consumer: RecordingConsumer) -> None:
    client = cast("AIOConsumer", FailingKafkaClient())
    inbox = Inbox(empty_database, recording_consumer.consumer)
    with capture_logs() as lines:
        messages = await Subscription(inbox, client, asyncio.Event(), 500, 0)._next_batch()

    assert [each.value() for each in messages] == [b"first", b"last"]
    assert [(line["event"], line["error"]) for line in lines] == [("Kafka reported an error", "no")]


async def test_invalid_configuration_is_raised_at_start(
    empty_database: Database, recording_consumer: RecordingConsumer
) -> None:
    invalid: KafkaConfig = {"bootstrap.servers": "localhost:1", "session.timeout.ms": 0}
    with pytest.raises(KafkaException):
        async with run_consumers(empty_database, invalid, [recording_consumer.consumer]):
            pytest.fail("it must not start")


def test_group_contains_names_of_service_and_consumer(recording_consumer: RecordingConsumer) -> None:
    assert recording_consumer.consumer.group == f"{api_metadata()['name']}.{recording_consumer.consumer.name}"
