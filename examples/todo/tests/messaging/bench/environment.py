"""Environment of the benchmarks: a database, Kafka, and a sample event."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from uuid import uuid4

from confluent_kafka.admin import AdminClient
from sqlmodel import delete, select

from app.core.config import load
from app.core.events import Event, publish
from app.db import dialect
from app.db.session import Database, transaction
from app.messaging import publisher  # noqa: F401 - it subscribes to all events
from app.messaging.contracts import Topic, contract
from app.messaging.development import broker
from app.messaging.settings import KafkaConfig
from app.messaging.topics import create_topics
from app.outbox.models import OutboxMessage

ROUNDS, EVENTS, KEYS = 5, 10_000, 100
TOPIC = Topic(f"bench-{uuid4().hex}")
REFERENCE_TOPIC = Topic(f"{TOPIC.name}-aside")  # for the reference measurements


@dataclass(frozen=True, kw_only=True)
class Measured(Event):
    """A sample event."""

    who: str
    number: int


contract(Measured, "bench.measured.v1", TOPIC, key="who")


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    what: str
    value: str
    compared: str = ""


@dataclass(frozen=True)
class BenchEnvironment:
    """The database and the Kafka of the benchmarks."""

    database: Database
    kafka: KafkaConfig

    async def clear(self) -> None:
        """Delete all events."""
        async with transaction(self.database.write) as session:
            await session.exec(delete(OutboxMessage))

    async def fill(self) -> list[OutboxMessage]:
        """Replace all events with those of one round, and return them."""
        await self.clear()
        async with transaction(self.database.write) as session:
            for number in range(EVENTS):
                await publish(session, Measured(who=f"key {number % KEYS}", number=number))
        async with transaction(self.database.read_transaction) as session:
            return list((await session.exec(select(OutboxMessage).order_by("number"))).all())


@asynccontextmanager
async def open_environment(servers: str | None) -> AsyncGenerator[BenchEnvironment]:
    """Provide the environment during the block."""
    with _kafka(servers) as client:
        async with dialect.open_database(load(dialect.DatabaseSettings)) as database:
            yield BenchEnvironment(database, client)


@contextmanager
def _kafka(servers: str | None) -> Generator[KafkaConfig]:
    if servers is None:
        with broker([TOPIC, REFERENCE_TOPIC]) as address:
            yield {"bootstrap.servers": address}
        return
    client: KafkaConfig = {"bootstrap.servers": servers}
    create_topics(client, [TOPIC, REFERENCE_TOPIC], replicas=1)
    try:
        yield client
    finally:
        admin = AdminClient(client)
        for deletion in admin.delete_topics([TOPIC.name, REFERENCE_TOPIC.name]).values():
            deletion.result()
