"""The event relay: committed events are sent to Kafka in order, and none is lost while Kafka is unavailable."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from confluent_kafka import Producer
from sqlalchemy import text
from structlog.testing import capture_logs

from app.db import dialect
from app.db.session import Database, transaction
from app.messaging import producer as producer_module
from app.messaging.contracts import Topic
from app.messaging.development import broker
from app.messaging.envelope import CONTENT_TYPE
from app.messaging.producer import PRODUCER_CONFIG, EventProducer
from app.messaging.relay import EVENTS_PER_POLL, RELAY_LOCK, EventRelay
from app.messaging.settings import KafkaConfig
from app.outbox.background import run_in_background
from app.outbox.poller import DestinationUnavailable
from app.outbox.repository import OutboxRepository
from tests.messaging.conftest import SampleEvent, numbers_by_key, produced_events, publish, read_messages
from tests.outbox.conftest import commit_messages, make_message, outbox_rows
from tests.test_cli import free_port
from tests.waiting import TIMEOUT_SECONDS, wait_until

UNREACHABLE_KAFKA: KafkaConfig = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}


@pytest.fixture(scope="module")
def producer(kafka: KafkaConfig) -> EventProducer:
    return EventProducer(kafka)


@pytest.fixture
def relay(empty_database: Database, producer: EventProducer) -> EventRelay:
    return EventRelay(empty_database, producer, poll_seconds=0.01)


async def outbox_is_empty(database: Database) -> bool:
    return not await outbox_rows(database)


@pytest.mark.usefixtures("sample_event")
async def test_committed_events_are_sent_once(relay: EventRelay, kafka: KafkaConfig, topic: Topic) -> None:
    ids = await publish(relay.database, SampleEvent(who="ada", number=1), SampleEvent(who="ada", number=2))
    [row, _] = await outbox_rows(relay.database)

    assert await relay.run_once() == 2
    assert await relay.run_once() == 0
    assert await outbox_rows(relay.database) == []
    assert [each.id for each in produced_events(kafka, topic)] == [str(event_id) for event_id in ids]
    [(_, value, headers), _] = read_messages(kafka, topic)
    assert json.loads(value) == json.loads(row.payload)
    assert headers == {"content-type": CONTENT_TYPE.encode()}


@pytest.mark.usefixtures("sample_event")
async def test_events_with_same_key_keep_their_order(relay: EventRelay, kafka: KafkaConfig, topic: Topic) -> None:
    keys = [f"key {number}" for number in range(10)]
    for number in range(20):
        await publish(relay.database, *(SampleEvent(who=key, number=number) for key in keys))
    async with run_in_background(relay.run()):
        await wait_until(lambda: outbox_is_empty(relay.database))

    assert numbers_by_key(produced_events(kafka, topic)) == {key: list(range(20)) for key in keys}
    assert len({partition for partition, *_ in read_messages(kafka, topic)}) > 1


@pytest.mark.usefixtures("sample_event")
async def test_relay_waits_for_lock_of_another_relay(relay: EventRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    await publish(relay.database, SampleEvent(who="ada"))
    with monkeypatch.context() as patch:
        for name in RELAY_LOCK:
            patch.setitem(RELAY_LOCK, name, "SELECT false")
        assert await relay.run_once() == 0
    assert await relay.run_once() == 1


@pytest.mark.skipif(not dialect.open_database.__module__.endswith("postgres"), reason="SQLite allows only one relay")
@pytest.mark.usefixtures("sample_event")
async def test_concurrent_relays_keep_order(empty_database: Database, kafka: KafkaConfig, topic: Topic) -> None:
    first, second = (EventRelay(empty_database, EventProducer(kafka), poll_seconds=0.01) for _ in range(2))
    async with run_in_background(first.run()), run_in_background(second.run()):
        for number in range(0, 200, 20):
            await publish(empty_database, *(SampleEvent(who="ada", number=number + each) for each in range(20)))
        await wait_until(lambda: outbox_is_empty(empty_database))
    assert numbers_by_key(produced_events(kafka, topic)) == {"ada": list(range(200))}

    async with transaction(empty_database.read_transaction) as other:
        assert (await (await other.connection()).execute(text(RELAY_LOCK["postgresql"]))).scalar_one()
        await publish(empty_database, SampleEvent(who="ada"))
        assert await first.run_once() == 0
    assert await first.run_once() == 1


def test_batch_of_largest_events_fits_into_client_queue() -> None:
    """Otherwise every attempt would fail with a full queue. Both sizes are librdkafka's defaults."""
    most_bytes_of_one, kilobytes_of_all = 1_000_000, 1_048_576
    assert not {"message.max.bytes", "queue.buffering.max.kbytes"} & PRODUCER_CONFIG.keys()
    assert EVENTS_PER_POLL * most_bytes_of_one <= kilobytes_of_all * 1024


async def test_jobs_are_ignored(relay: EventRelay) -> None:
    await commit_messages(relay.database, make_message("welcome"))
    assert await relay.run_once() == 0


@pytest.mark.usefixtures("sample_event")
async def test_too_large_event_is_dead_letter_and_does_not_block_others(
    relay: EventRelay, kafka: KafkaConfig, topic: Topic
) -> None:
    large = "x" * 1_100_000
    await publish(relay.database, *(SampleEvent(who="ada", number=number) for number in range(2)))
    await commit_messages(
        relay.database, make_message("large", destination="kafka", queue=topic.name, key="ada", payload=large)
    )
    await publish(relay.database, SampleEvent(who="ada", number=2))
    with capture_logs() as lines:
        assert await relay.run_once() == 4

    assert numbers_by_key(produced_events(kafka, topic)) == {"ada": [0, 1, 2]}
    [letter] = await outbox_rows(relay.database)
    assert (letter.name, letter.dead_at is None) == ("large", False)
    assert "Message size too large" in letter.last_error
    assert [(line["event"], line["type"]) for line in lines] == [("outbox: event rejected by Kafka", "large")]

    assert await relay.run_once() == 0
    async with transaction(relay.database.write) as session:
        await OutboxRepository(session).replay(None)
    assert await relay.run_once() == 1
    [letter] = await outbox_rows(relay.database)
    assert letter.dead_at is not None, "the retry must fail, too"


@asynccontextmanager
async def forward_port(port: int, to: str) -> AsyncGenerator[None]:
    """Forward connections to another server."""

    async def copy_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, number = to.rpartition(":")
        server_reader, server_writer = await asyncio.open_connection(host, int(number))
        async with asyncio.TaskGroup() as streams:
            streams.create_task(copy_stream(reader, server_writer))
            streams.create_task(copy_stream(server_reader, writer))

    async with await asyncio.start_server(connect, "127.0.0.1", port):
        yield


@pytest.mark.usefixtures("sample_event")
async def test_no_event_is_lost_when_kafka_restarts(empty_database: Database, topic: Topic) -> None:
    """A second broker replaces the first one, at the same address."""
    port = free_port()
    relay = EventRelay(
        empty_database, EventProducer({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0}), poll_seconds=0.01
    )
    found: list[list[int]] = []
    with capture_logs() as lines:
        async with run_in_background(relay.run()):
            for number in (1, 2):
                with broker([topic]) as address:
                    async with forward_port(port, address):
                        await publish(empty_database, SampleEvent(who="ada", number=10 * number))
                        await wait_until(lambda: outbox_is_empty(empty_database))
                        found.append(numbers_by_key(produced_events({"bootstrap.servers": address}, topic))["ada"])
                lines.clear()
                relay.kafka.timeout_seconds = 0.5
                await publish(empty_database, SampleEvent(who="ada", number=10 * number + 1))
                await wait_until(lambda: bool(_retry_lines(lines)))
                relay.kafka.timeout_seconds = TIMEOUT_SECONDS

    assert found == [[10], [11, 20]]
    assert [(row.key, row.dead_at) for row in await outbox_rows(empty_database)] == [("ada", None)], (
        "it is still pending"
    )
    assert (
        _retry_lines(lines)[0]["error"] == f"{DestinationUnavailable.__name__}: Kafka: no response within 0.5 seconds"
    )
    assert "exception" not in _retry_lines(lines)[0]


def _retry_lines(lines: list[Any]) -> list[Any]:
    return [line for line in lines if line["event"] == "outbox: sending failed, retrying"]


@pytest.mark.usefixtures("sample_event")
async def test_missing_topic_does_not_block_others(empty_database: Database, kafka: KafkaConfig, topic: Topic) -> None:
    relay = EventRelay(empty_database, EventProducer(kafka), poll_seconds=0.01)
    relay.kafka.timeout_seconds = 0.5
    await commit_messages(relay.database, make_message("lost", destination="kafka", queue="no-such-topic", key="ada"))
    await publish(relay.database, SampleEvent(who="ada", number=1))
    async with run_in_background(relay.run()):
        await wait_until(lambda: _outbox_contains_only(relay.database, "lost"))

    assert numbers_by_key(produced_events(kafka, topic)) == {"ada": [1]}
    [row] = await outbox_rows(relay.database)
    assert row.dead_at is None


async def _outbox_contains_only(database: Database, name: str) -> bool:
    return [row.name for row in await outbox_rows(database)] == [name]


@pytest.mark.usefixtures("sample_event")
async def test_broken_producer_is_replaced(
    relay: EventRelay, monkeypatch: pytest.MonkeyPatch, kafka: KafkaConfig, topic: Topic
) -> None:
    """librdkafka behaves like this after an inconsistency of its counters: it fails once, and then does nothing."""
    flushed: list[str] = []

    class BrokenProducer(Producer):
        def flush(self, timeout: float = -1) -> int:
            flushed.append("once")
            raise SystemError("<method 'flush' of 'cimpl.Producer' objects> returned NULL without setting an exception")

    relay.kafka.close()
    with monkeypatch.context() as patch:
        patch.setattr(producer_module, "Producer", BrokenProducer)
        await publish(relay.database, SampleEvent(who="ada", number=1))
        with pytest.raises(SystemError):
            await relay.run_once()

    assert await relay.run_once() == 1
    assert flushed == ["once"]
    assert set(numbers_by_key(produced_events(kafka, topic))["ada"]) == {1}
