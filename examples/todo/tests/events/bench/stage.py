"""What the measurements share: a database, a Kafka, and an event that says nothing."""

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
from app.events import publisher  # noqa: F401 - it lets events leave
from app.events.contracts import Topic, contract
from app.events.development import broker
from app.events.settings import Client
from app.events.topics import create
from app.outbox.models import OutboxEvent

ROUNDS, EVENTS, KEYS = 5, 10_000, 100
TOPIC = Topic(f"bench-{uuid4().hex}")
ASIDE = Topic(f"{TOPIC.name}-aside")  # for what is sent with nothing else


@dataclass(frozen=True, kw_only=True)
class Measured(Event):
    """Nothing has happened."""

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
class Stage:
    """What is there to measure with."""

    database: Database
    kafka: Client

    async def clear(self) -> None:
        """Let nothing wait."""
        async with transaction(self.database.writers) as session:
            await session.exec(delete(OutboxEvent))

    async def fill(self) -> list[OutboxEvent]:
        """Let as many events wait as a round has, and nothing else."""
        await self.clear()
        async with transaction(self.database.writers) as session:
            for number in range(EVENTS):
                await publish(session, Measured(who=f"key {number % KEYS}", number=number))
        async with transaction(self.database.readers) as session:
            return list((await session.exec(select(OutboxEvent).order_by("number"))).all())


@asynccontextmanager
async def stage(servers: str | None) -> AsyncGenerator[Stage]:
    """Provide it while the block runs."""
    with _kafka(servers) as client:
        async with dialect.open_database(load(dialect.DatabaseSettings)) as database:
            yield Stage(database, client)


@contextmanager
def _kafka(servers: str | None) -> Generator[Client]:
    if servers is None:
        with broker([TOPIC, ASIDE]) as address:
            yield {"bootstrap.servers": address}
        return
    client: Client = {"bootstrap.servers": servers}
    create(client, [TOPIC, ASIDE], replicas=1)
    try:
        yield client
    finally:
        admin = AdminClient(client)
        for gone in admin.delete_topics([TOPIC.name, ASIDE.name]).values():
            gone.result()
