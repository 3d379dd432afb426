"""Event processes: from publishing to the statistics, in one process or in several."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import KafkaException, Producer
from fastapi import FastAPI
from sqlmodel import select

from app.core.config import ConfigurationError
from app.core.runtime import runtime_of
from app.db.session import Database, transaction
from app.main import create_app
from app.messaging import check_topics, consume_events, consumers, contracts, relay_events
from app.messaging.contracts import Topic
from app.messaging.development import broker
from app.messaging.settings import KafkaConfig
from app.modules.statistics.models import DailyCount
from app.modules.user.events import UserRegistered
from app.outbox import WakeSources
from app.processes import PROCESSES, create
from tests.messaging.conftest import declare_topics, ensure_topics, produced_events, publish
from tests.outbox.conftest import outbox_rows
from tests.processes import running_app, running_tasks, start_process
from tests.users import as_admin
from tests.waiting import TIMEOUT_SECONDS, wait_until, wait_until_ready

create_relay, create_consumer = (partial(create, name) for name in ("relay", "consumer"))
RELAY_CHECKS = {"database": "ok", "kafka-producer": "ok"}
CONSUMER_CHECKS = {"database": "ok", "kafka-consumer": "ok"}


@pytest.fixture(autouse=True)
def _fast_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTBOX_POLL_SECONDS", "0.01")


@pytest.fixture
def servers(kafka: KafkaConfig) -> str:
    """The address of a Kafka with the topics of the service."""
    ensure_topics(kafka, *contracts.all_topics())
    return str(kafka["bootstrap.servers"])


async def pending_event_ids(database: Database) -> list[str]:
    """Return the ids of pending events."""
    return [str(row.id) for row in await outbox_rows(database) if row.destination == "kafka"]


async def all_events_are_relayed(database: Database) -> bool:
    return not await pending_event_ids(database)


async def events_are_counted(database: Database, count: int) -> bool:
    async with transaction(database.read_transaction) as session:
        counts = await session.exec(select(DailyCount.count).where(DailyCount.type == "user.registered.v1"))
        return sum(counts.all()) >= count


async def test_without_kafka_api_process_runs_everything(empty_database: Database) -> None:
    async with running_app(create_app) as client:
        as_admin(client)
        for _ in range(3):
            await publish(empty_database, UserRegistered(user_id=uuid4()))
        await wait_until(lambda: all_events_are_relayed(empty_database))
        await wait_until(lambda: events_are_counted(empty_database, 3))
        counts = (await client.get("/api/v1/statistics")).json()
        assert await wait_until_ready(client) == RELAY_CHECKS | CONSUMER_CHECKS

    assert [(each["type"], each["count"]) for each in counts] == [("user.registered.v1", 3)]


async def test_with_kafka_api_process_relays_nothing(
    empty_database: Database, servers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", servers)
    ids = await publish(empty_database, UserRegistered(user_id=uuid4()))
    async with running_app(create_app) as client:
        assert "EventRelay" not in running_tasks()
        assert await wait_until_ready(client) == {"database": "ok"}

    assert await pending_event_ids(empty_database) == [str(event_id) for event_id in ids]


async def test_relay_is_woken_by_registered_wake_sources(
    empty_database: Database, servers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", servers)
    monkeypatch.setenv("OUTBOX_POLL_SECONDS", "60")
    wake_sources: list[asyncio.Event] = []

    @asynccontextmanager
    async def wake_source(wake: asyncio.Event) -> AsyncGenerator[None]:
        wake_sources.append(wake)
        yield
        wake_sources.remove(wake)

    def create() -> FastAPI:
        app = create_relay()
        runtime_of(app)[WakeSources].append(wake_source)
        return app

    async with running_app(create):
        await publish(empty_database, UserRegistered(user_id=uuid4()))
        while await pending_event_ids(empty_database):
            for wake in wake_sources:
                wake.set()
            await asyncio.sleep(0.01)
    assert wake_sources == []


@pytest.mark.usefixtures("short_kafka_timeout")
@pytest.mark.parametrize(("create", "check"), [(create_relay, "kafka-producer"), (create_consumer, "kafka-consumer")])
async def test_unavailable_kafka_fails_health_check(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch, create: Callable[[], FastAPI], check: str
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    async with running_app(create) as client:
        response = await client.get("/health")

    assert response.status_code == 503
    assert response.json()["checks"] == {"database": "ok", check: "unavailable"}


def test_relay_does_not_start_without_topics(kafka: KafkaConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", str(kafka["bootstrap.servers"]))
    declare_topics(Topic("test-absent"))
    with pytest.raises(ConfigurationError, match="Missing Kafka topics: test-absent"):
        create_relay()


async def test_relay_and_consumer_process_events(
    empty_database: Database, kafka: KafkaConfig, servers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", servers)
    async with start_process("run consumer", tmp_path) as consumer, running_app(create_relay) as relay:
        ids = await publish(empty_database, UserRegistered(user_id=uuid4()))
        assert await wait_until_ready(relay) == RELAY_CHECKS
        assert await consumer.wait_until_ready() == CONSUMER_CHECKS
        await wait_until(lambda: events_are_counted(empty_database, 1))

    assert await all_events_are_relayed(empty_database)
    assert str(ids[0]) in {each.id for each in produced_events(kafka, Topic("users", partitions=4))}
    assert '"event": "events processed"' in consumer.log_text


def test_every_consumer_belongs_to_a_process() -> None:
    assert {consumer.process for consumer in consumers.all_consumers()} <= PROCESSES.keys()


async def test_relay_without_kafka_does_nothing(app: FastAPI) -> None:
    check_topics()
    async with relay_events(runtime_of(app)):
        assert "kafka-producer" not in runtime_of(app).health_checks


async def test_process_without_consumers_is_rejected(app: FastAPI) -> None:
    with pytest.raises(ConfigurationError, match='No consumer is declared with process="absent"'):
        async with consume_events("absent")(runtime_of(app)):
            pass


def test_development_broker_has_topics_and_stops() -> None:
    with broker([Topic("test-one"), Topic("test-two")]) as address:
        client = Producer({"bootstrap.servers": address, "log_level": 0})
        assert {"test-one", "test-two"} <= set(client.list_topics(timeout=TIMEOUT_SECONDS).topics)
    with pytest.raises(KafkaException):
        Producer({"bootstrap.servers": address, "log_level": 0}).list_topics(timeout=0.2)
