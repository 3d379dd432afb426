# ty: ignore[import-not-found]
"""A module that leaves traces, for the crash tests of events: `project.py` puts it into a rendered project.

What was published is a row of the same transaction as the event, what was done is a row of the consumer's transaction.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import Any

from app.core.config import load
from app.core.events import Event, publish
from app.db import base
from app.db.session import SessionDep
from app.events.consumers import Consumer
from app.events.contracts import Topic, contract
from app.events.settings import KafkaSettings
from app.outbox.models import OutboxEvent
from app.outbox.repository import OutboxRepository
from confluent_kafka import Consumer as Reader
from confluent_kafka import ConsumerGroupTopicPartitions, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel
from sqlmodel import Field, col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

TOPIC = Topic("probe")
SECONDS = 10
POISON = "poison"

router = APIRouter(prefix="/probe")
probe = Consumer("probe")


@dataclass(frozen=True, kw_only=True)
class Noted(Event):
    """Somebody wants a number to be noted."""

    number: int
    who: str
    kind: str


contract(Noted, "probe.noted.v1", TOPIC, key="who")


class Asked(base.Base, table=True):
    """An event that was published in the same transaction."""

    __tablename__ = "probe_asked"

    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    kind: str
    key: str


class Effect(base.Base, table=True):
    """What a consumer did. Nothing keeps a second one of the same number away: the test counts."""

    __tablename__ = "probe_effect"

    id: int | None = Field(default=None, primary_key=True)
    number: int
    pid: int


@probe.on_batch(Noted)
async def note(session: AsyncSession, events: Sequence[Noted]) -> None:
    """Leave a row for each, with time to be killed before the commit."""
    session.add_all(Effect(number=event.number, pid=os.getpid()) for event in events)
    await session.flush()
    if any(event.kind == POISON for event in events):
        raise ValueError("nobody can do this one")
    await asyncio.sleep(0.2)


class Order(BaseModel):
    """One event."""

    number: int
    key: str
    kind: str = "note"


@router.post("", status_code=201)
async def ask(session: SessionDep, orders: list[Order]) -> None:
    """Publish events, and remember which."""
    for order in orders:
        session.add(Asked(number=order.number, kind=order.kind, key=order.key))
        await publish(session, Noted(number=order.number, who=order.key, kind=order.kind))


@router.get("/waiting")
async def waiting(session: SessionDep) -> dict[str, int]:
    """Count what waits: in the outbox, for a person, and in Kafka."""
    counts = {state: count for state, (count, _) in (await OutboxRepository(session).counts()).items()}
    return {"waiting": counts["waiting"], "dead": counts["dead"], "behind": await asyncio.to_thread(behind)}


@router.get("/outbox")
async def outbox(session: SessionDep) -> int:
    """Count what waits in the outbox; unlike the others, whether Kafka is there or not."""
    return (await OutboxRepository(session).counts())["waiting"][0]


@router.get("/kept")
async def kept() -> list[int]:
    """Tell where each partition ends."""
    return await asyncio.to_thread(lambda: reading(lambda reader: [end for _, end in ends(reader)]))


@router.delete("/")
async def forget(session: SessionDep) -> None:
    """Empty the outbox."""
    await session.exec(delete(OutboxEvent))


@router.get("/ledger")
async def ledger(session: SessionDep, first: int) -> dict[str, list[list[object]]]:
    """Tell what was published from a number on, and what was done, in the order in which it was done."""
    asked = (await session.exec(select(Asked).where(col(Asked.number) >= first))).all()
    effects = (await session.exec(select(Effect).where(col(Effect.number) >= first).order_by("id"))).all()
    return {
        "asked": [[row.number, row.kind, row.key] for row in asked],
        "effects": [[row.number, row.pid] for row in effects],
    }


class Since(BaseModel):
    """What came from these positions on."""

    positions: list[int]
    backwards: bool = False


@router.post("/again", status_code=201)
async def again(since: Since) -> None:
    """Send what came once more."""
    await asyncio.to_thread(send, since)


@router.post("/back", status_code=201)
async def back(since: Since) -> None:
    """Let the consumers begin there again, while none of them runs."""
    partitions = [TopicPartition(TOPIC.name, number, position) for number, position in enumerate(since.positions)]
    admin = AdminClient(client())
    asked = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(probe.group, partitions)])
    for answer in asked.values():
        await asyncio.to_thread(answer.result)


def send(since: Since) -> None:
    """Send what came once more, each to the partition of its key."""
    messages = reading(lambda reader: [*messages_of(reader, since.positions)])
    producer = Producer(client())
    for message in reversed(messages) if since.backwards else messages:
        producer.produce(
            TOPIC.name, message.value(), message.key(), partition=message.partition(), headers=message.headers()
        )
        producer.poll(0)
    assert producer.flush(SECONDS) == 0


def messages_of(reader: Reader, positions: Sequence[int]) -> Iterable[Message]:
    """Read all from these positions on."""
    left = sum(end for _, end in ends(reader)) - sum(positions)
    reader.assign([TopicPartition(TOPIC.name, number, position) for number, position in enumerate(positions)])
    while left > 0:
        for message in reader.consume(500, timeout=1):
            assert message.error() is None, message.error()
            left -= 1
            yield message


def behind() -> int:
    """Count what is in Kafka, and is not done."""

    def count(reader: Reader) -> int:
        known = reader.committed([each for each, _ in ends(reader)], timeout=SECONDS)
        return sum(end - max(0, done.offset) for (_, end), done in zip(ends(reader), known, strict=True))

    return reading(count)


def ends(reader: Reader) -> list[tuple[TopicPartition, int]]:
    """Return the end of each partition."""
    partitions = [TopicPartition(TOPIC.name, number) for number in range(TOPIC.partitions)]
    return [(each, reader.get_watermark_offsets(each, timeout=SECONDS)[1]) for each in partitions]


def reading(read: Callable[[Reader], Any]) -> Any:
    """Read as the group does, without being of it."""
    with closing(Reader(client() | {"group.id": probe.group, "enable.auto.commit": False, "log_level": 0})) as reader:
        return read(reader)


def client() -> dict[str, Any]:
    """Say where Kafka is."""
    return dict(load(KafkaSettings).client())


def prepare_development() -> None:
    """Nothing."""


def setup(app: FastAPI) -> None:
    """Add the routes."""
    app.include_router(router)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    """Open nothing."""
    yield
