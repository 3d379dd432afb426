# ty: ignore[import-not-found]
"""A module for the crash tests that records events and their effects. `project.py` copies it into a rendered project.

The transaction that publishes an event also inserts a row; the transaction of the consumer inserts another one.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from app.core.config import load
from app.core.events import Event, publish
from app.core.runtime import Feature, Runtime
from app.db import base
from app.db.session import SessionDep
from app.messaging.consumers import Consumer
from app.messaging.contracts import Topic, contract
from app.messaging.settings import KafkaSettings
from app.outbox.models import MessageState, OutboxMessage
from app.outbox.repository import OutboxRepository
from confluent_kafka import Consumer as KafkaConsumer
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
class Recorded(Event):
    """A number is to be recorded."""

    number: int
    who: str
    kind: str


contract(Recorded, "probe.recorded.v1", TOPIC, key="who")


class Requested(base.Base, table=True):
    """An event that was published in the same transaction."""

    __tablename__ = "probe_requested"

    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    kind: str
    key: str


class Effect(base.Base, table=True):
    """An effect of a consumer. Numbers are not unique, so that the tests can count duplicates."""

    __tablename__ = "probe_effect"

    id: int | None = Field(default=None, primary_key=True)
    number: int
    pid: int


@probe.on_batch(Recorded)
async def record(session: AsyncSession, events: Sequence[Recorded]) -> None:
    """Insert a row for each event, with time to be killed before the commit."""
    session.add_all(Effect(number=event.number, pid=os.getpid()) for event in events)
    await session.flush()
    if any(event.kind == POISON for event in events):
        raise ValueError("this event cannot be processed")
    await asyncio.sleep(0.2)


class EventRequest(BaseModel):
    """An event to publish."""

    number: int
    key: str
    kind: str = "record"


@router.post("", status_code=201)
async def submit(session: SessionDep, requests: list[EventRequest]) -> None:
    """Publish events, and record them."""
    for request in requests:
        session.add(Requested(number=request.number, kind=request.kind, key=request.key))
        await publish(session, Recorded(number=request.number, who=request.key, kind=request.kind))


@router.get("/waiting")
async def waiting(session: SessionDep) -> dict[str, int]:
    """Count pending outbox rows, dead letters, and messages that are not yet consumed."""
    found = await OutboxRepository(session).count_messages()
    counts = {state: sum(count for (_, each), (count, _) in found.items() if each == state) for state in MessageState}
    return {"pending": counts["pending"], "dead": counts["dead"], "lag": await asyncio.to_thread(consumer_lag)}


@router.get("/outbox")
async def outbox(session: SessionDep) -> int:
    """Count pending outbox rows. Unlike the other routes, this one works without Kafka."""
    found = await OutboxRepository(session).count_messages()
    return sum(count for (_, state), (count, _) in found.items() if state == MessageState.PENDING)


@router.get("/ends")
async def partition_ends() -> list[int]:
    """Return the end offset of each partition."""
    return await asyncio.to_thread(lambda: with_reader(lambda reader: [end for _, end in ends(reader)]))


@router.delete("/")
async def clear_outbox(session: SessionDep) -> None:
    """Empty the outbox."""
    await session.exec(delete(OutboxMessage))


@router.get("/ledger")
async def ledger(session: SessionDep, first: int) -> dict[str, list[list[object]]]:
    """Return the events from a number on, and the effects in the order in which they were committed."""
    requested = (await session.exec(select(Requested).where(col(Requested.number) >= first))).all()
    effects = (await session.exec(select(Effect).where(col(Effect.number) >= first).order_by("id"))).all()
    return {
        "requested": [[row.number, row.kind, row.key] for row in requested],
        "effects": [[row.number, row.pid] for row in effects],
    }


class Replay(BaseModel):
    """The messages to send again: all from these offsets on."""

    positions: list[int]
    reverse: bool = False


@router.post("/resend", status_code=201)
async def resend(replay: Replay) -> None:
    """Send messages again."""
    await asyncio.to_thread(resend_messages, replay)


@router.post("/rewind", status_code=201)
async def rewind(replay: Replay) -> None:
    """Reset the offsets of the consumer group, while none of its consumers is running."""
    partitions = [TopicPartition(TOPIC.name, number, position) for number, position in enumerate(replay.positions)]
    admin = AdminClient(client())
    requested = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(probe.group, partitions)])
    for future in requested.values():
        await asyncio.to_thread(future.result)


def resend_messages(replay: Replay) -> None:
    """Send messages again, each to the partition of its key."""
    messages = with_reader(lambda reader: [*messages_of(reader, replay.positions)])
    producer = Producer(client())
    for message in reversed(messages) if replay.reverse else messages:
        producer.produce(
            TOPIC.name, message.value(), message.key(), partition=message.partition(), headers=message.headers()
        )
        producer.poll(0)
    assert producer.flush(SECONDS) == 0


def messages_of(reader: KafkaConsumer, positions: Sequence[int]) -> Iterable[Message]:
    """Yield all messages from these offsets on."""
    left = sum(end for _, end in ends(reader)) - sum(positions)
    reader.assign([TopicPartition(TOPIC.name, number, position) for number, position in enumerate(positions)])
    while left > 0:
        for message in reader.consume(500, timeout=1):
            assert message.error() is None, message.error()
            left -= 1
            yield message


def consumer_lag() -> int:
    """Return the number of messages in Kafka that are not yet consumed."""

    def count(reader: KafkaConsumer) -> int:
        committed = reader.committed([each for each, _ in ends(reader)], timeout=SECONDS)
        return sum(end - max(0, each.offset) for (_, end), each in zip(ends(reader), committed, strict=True))

    return with_reader(count)


def ends(reader: KafkaConsumer) -> list[tuple[TopicPartition, int]]:
    """Return the end of each partition."""
    partitions = [TopicPartition(TOPIC.name, number) for number in range(TOPIC.partitions)]
    return [(each, reader.get_watermark_offsets(each, timeout=SECONDS)[1]) for each in partitions]


def with_reader(read: Callable[[KafkaConsumer], Any]) -> Any:
    """Call a function with a reader that knows the offsets of the consumer group, but does not join it."""
    with closing(
        KafkaConsumer(client() | {"group.id": probe.group, "enable.auto.commit": False, "log_level": 0})
    ) as reader:
        return read(reader)


def client() -> dict[str, Any]:
    """Return the settings of a Kafka client."""
    return dict(load(KafkaSettings).client_config())


def setup(app: FastAPI, _: Runtime) -> None:
    """Add the routes."""
    app.include_router(router)


feature = Feature(setup=setup)
