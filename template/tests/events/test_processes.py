"""Event processes: from publishing to the statistics, in one process or in several."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import KafkaException, Producer
from fastapi import FastAPI
from sqlmodel import select

from app.consumers import create_consumer
from app.core.config import ConfigurationError
from app.db.session import Database, transaction
from app.events import contracts
from app.events.contracts import Topic
from app.events.development import broker
from app.events.settings import Client
from app.main import create_app
from app.modules.statistics.models import DailyCount
from app.modules.user.events import UserRegistered
from app.relay import create_relay
from tests.events.conftest import declare, provide, publish, sent
from tests.outbox.conftest import rows
from tests.outbox.processes import process, running, running_tasks
from tests.people import lead
from tests.waiting import TIMEOUT_SECONDS, until, until_ready

BOTH = {"database": "ok", "kafka": "ok"}


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTBOX_POLL_SECONDS", "0.01")


@pytest.fixture
def servers(kafka: Client) -> str:
    """The address of a Kafka with the topics of the service."""
    provide(kafka, *contracts.topics())
    return str(kafka["bootstrap.servers"])


async def waiting(database: Database) -> list[str]:
    """Return the ids of pending events."""
    return [str(row.id) for row in await rows(database) if row.destination == "kafka"]


async def is_relayed(database: Database) -> bool:
    return not await waiting(database)


async def are_counted(database: Database, count: int) -> bool:
    async with transaction(database.readers) as session:
        counts = await session.exec(select(DailyCount.count).where(DailyCount.type == "UserRegistered"))
        return sum(counts.all()) >= count


def test_api_process_does_not_import_faststream(imported: set[str]) -> None:
    assert "app.events.processes" in imported
    assert "faststream" not in imported


async def test_without_kafka_api_process_runs_everything(store: Database) -> None:
    async with running(create_app) as client:
        lead(client)
        for _ in range(3):
            await publish(store, UserRegistered(user_id=uuid4()))
        await until(lambda: is_relayed(store))
        await until(lambda: are_counted(store, 3))
        counts = (await client.get("/api/v1/statistics")).json()
        assert await until_ready(client) == BOTH

    assert [(each["type"], each["count"]) for each in counts] == [("UserRegistered", 3)]


async def test_with_kafka_api_process_relays_nothing(
    store: Database, servers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", servers)
    ids = await publish(store, UserRegistered(user_id=uuid4()))
    async with running(create_app) as client:
        assert "EventRelay" not in running_tasks()
        assert "kafka" not in await until_ready(client)

    assert await waiting(store) == [str(event_id) for event_id in ids]


async def test_relay_is_woken_by_registered_wakers(
    store: Database, servers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", servers)
    monkeypatch.setenv("OUTBOX_POLL_SECONDS", "60")
    wakers: list[asyncio.Event] = []

    @asynccontextmanager
    async def waking(wake: asyncio.Event) -> AsyncGenerator[None]:
        wakers.append(wake)
        yield
        wakers.remove(wake)

    def create() -> FastAPI:
        app = create_relay()
        app.state.relay_wakers.append(waking)
        return app

    async with running(create):
        await publish(store, UserRegistered(user_id=uuid4()))
        while await waiting(store):
            for wake in wakers:
                wake.set()
            await asyncio.sleep(0.01)
    assert wakers == []


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("create", [create_relay, create_consumer])
async def test_unavailable_kafka_fails_health_check(
    store: Database, monkeypatch: pytest.MonkeyPatch, create: Callable[[], FastAPI]
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    async with running(create) as client:
        answer = await client.get("/health")

    assert answer.status_code == 503
    assert answer.json()["checks"] == {"database": "ok", "kafka": "unavailable"}


def test_relay_does_not_start_without_topics(kafka: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", str(kafka["bootstrap.servers"]))
    declare(Topic("test-absent"))
    with pytest.raises(ConfigurationError, match="Missing Kafka topics: test-absent"):
        create_relay()


async def test_relay_and_consumer_process_events(
    store: Database, kafka: Client, servers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", servers)
    async with process("consumer", tmp_path) as consumer, running(create_relay) as relay:
        ids = await publish(store, UserRegistered(user_id=uuid4()))
        assert await until_ready(relay) == BOTH
        assert await consumer.checks() == BOTH
        await until(lambda: are_counted(store, 1))

    assert await is_relayed(store)
    assert str(ids[0]) in {each.id for each in sent(kafka, Topic("users", partitions=4))}
    assert '"event": "events processed"' in consumer.written


def test_development_broker_has_topics_and_stops() -> None:
    with broker([Topic("test-one"), Topic("test-two")]) as address:
        asking = Producer({"bootstrap.servers": address, "log_level": 0})
        assert {"test-one", "test-two"} <= set(asking.list_topics(timeout=TIMEOUT_SECONDS).topics)
    with pytest.raises(KafkaException):
        Producer({"bootstrap.servers": address, "log_level": 0}).list_topics(timeout=0.2)
