"""The cost of publishing an event for a request; and the relay of a full outbox, compared with Kafka alone."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from uuid import uuid4

from confluent_kafka import Producer

from app.core.events import publish
from app.db.base import utc_now
from app.db.session import transaction
from app.messaging.inbox import ProcessedEvent
from app.messaging.producer import PRODUCER_CONFIG, EventProducer
from app.messaging.relay import EventRelay
from app.outbox.models import OutboxMessage
from tests.messaging.bench.environment import EVENTS, REFERENCE_TOPIC, ROUNDS, BenchEnvironment, Figure, Measured

TRANSACTIONS = 50


async def requests(environment: BenchEnvironment) -> list[Figure]:
    """Add a row, alternately without an event and with one."""
    plain, published = [], []
    for _ in range(ROUNDS):
        plain += [await _measure_transaction(environment, event=False) for _ in range(TRANSACTIONS)]
        published += [await _measure_transaction(environment, event=True) for _ in range(TRANSACTIONS)]
    without, with_one = statistics.median(plain), statistics.median(published)
    return [
        Figure("a transaction that adds a row", f"{without * 1e3:.2f} ms"),
        Figure("the same, with an event", f"{with_one * 1e3:.2f} ms", f"{with_one / without:.0%} of it"),
    ]


async def relaying(environment: BenchEnvironment) -> list[Figure]:
    """Send the same events to Kafka both ways, alternately."""
    kafka, producer = EventProducer(environment.kafka), Producer(environment.kafka | PRODUCER_CONFIG)
    relay = EventRelay(environment.database, kafka, poll_seconds=1)
    relayed, sent = [], []
    _send(producer, (await environment.fill())[:1])  # both are connected before the clock starts
    await relay.run_once()
    for _ in range(ROUNDS):
        events = await environment.fill()
        began = time.perf_counter()
        while await relay.run_once():
            pass
        relayed.append(EVENTS / (time.perf_counter() - began))
        began = time.perf_counter()
        await asyncio.to_thread(_send, producer, events)
        sent.append(EVENTS / (time.perf_counter() - began))
    kafka.close()
    relay_rate, kafka_rate = statistics.median(relayed), statistics.median(sent)
    return [
        Figure("sent to Kafka alone", f"{kafka_rate:,.0f} /s"),
        Figure("relayed from the database to Kafka", f"{relay_rate:,.0f} /s", f"{relay_rate / kafka_rate:.0%} of it"),
    ]


def _send(producer: Producer, events: Sequence[OutboxMessage]) -> None:
    for event in events:
        producer.produce(REFERENCE_TOPIC.name, event.payload.encode(), event.key)
    producer.flush()


async def _measure_transaction(environment: BenchEnvironment, *, event: bool) -> float:
    began = time.perf_counter()
    async with transaction(environment.database.write) as session:
        session.add(ProcessedEvent(id=f"bench {uuid4()}", expires_at=utc_now()))
        await session.flush()
        if event:
            await publish(session, Measured(who="ada", number=0))
    return time.perf_counter() - began
