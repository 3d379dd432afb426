"""A consumer with its inbox, compared with Kafka alone; and the latency from a commit to the consumer."""

import asyncio
import random
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing
from uuid import uuid4

from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import TopicPartition
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import publish
from app.core.runtime import runtime_of
from app.db.session import transaction
from app.main import create_app
from app.messaging.consumers import Consumer
from app.messaging.producer import EventProducer
from app.messaging.relay import EventRelay
from app.messaging.settings import KafkaConfig
from app.messaging.subscription import EVENTS_PER_BATCH, run_consumers
from app.outbox import OutboxSettings, WakeSources
from app.outbox.background import run_in_background
from tests.messaging.bench.environment import EVENTS, ROUNDS, TOPIC, BenchEnvironment, Figure, Measured

SINGLE_EVENTS = 100
POLL_SECONDS: float = OutboxSettings.model_fields["poll_seconds"].default


class RecordingConsumer:
    """A consumer that only records the number of events and their times."""

    def __init__(self) -> None:
        self.consumer = Consumer(f"bench-{uuid4().hex}")
        self.consumer.on_batch(Measured)(self._record)
        self.batches: list[tuple[float, int]] = []
        self.seen: dict[int, float] = {}

    async def _record(self, _: AsyncSession, events: Sequence[Measured]) -> None:
        now = time.perf_counter()
        self.batches.append((now, len(events)))
        self.seen |= {event.number: now for event in events}

    @property
    def count(self) -> int:
        return sum(count for _, count in self.batches)


async def consuming(environment: BenchEnvironment) -> list[Figure]:
    """Read the relayed events both ways, alternately."""
    inbox_rates, kafka_rates = [], []
    for _ in range(ROUNDS):
        (waiting, rate), recorder = await asyncio.to_thread(_read, environment.kafka), RecordingConsumer()
        kafka_rates.append(rate)
        async with run_consumers(environment.database, environment.kafka, [recorder.consumer]):
            while recorder.count < waiting:  # noqa: ASYNC110 - what is waited for is a list
                await asyncio.sleep(0.005)
        inbox_rates.append(_rate(recorder.batches))
    alone, with_inbox = statistics.median(kafka_rates), statistics.median(inbox_rates)
    return [
        Figure("read from Kafka alone", f"{alone:,.0f} /s"),
        Figure("handled by a consumer with its inbox", f"{with_inbox:,.0f} /s", f"{with_inbox / alone:.1%} of it"),
    ]


async def latency(environment: BenchEnvironment) -> list[Figure]:
    """Measure the time from commit to consumer, one event after the other."""
    await environment.clear()
    relay, recorder, waited = (
        EventRelay(environment.database, EventProducer(environment.kafka), POLL_SECONDS),
        RecordingConsumer(),
        [],
    )
    async with AsyncExitStack() as stack:
        for wake_source in _wake_sources():
            await stack.enter_async_context(wake_source(relay.wake))
        await stack.enter_async_context(run_in_background(relay.run()))
        await stack.enter_async_context(run_consumers(environment.database, environment.kafka, [recorder.consumer]))
        await _measure_latency(environment, recorder, -1)  # wait until all subscriptions are active
        for number in range(EVENTS, EVENTS + SINGLE_EVENTS):
            waited.append(await _measure_latency(environment, recorder, number))  # noqa: PERF401 - one after the other
    p50, p99 = statistics.median(waited), statistics.quantiles(waited, n=100)[-1]
    return [Figure("from commit to consumer: median", f"{p50 * 1e3:.1f} ms", f"p99 {p99 * 1e3:.1f} ms")]


def _wake_sources() -> list:
    """Return the wake sources of the features; SQLite has none."""
    return runtime_of(create_app())[WakeSources]


async def _measure_latency(environment: BenchEnvironment, recorder: RecordingConsumer, number: int) -> float:
    await asyncio.sleep(random.uniform(0, 0.05))  # noqa: S311 - at a random time between two polls
    async with transaction(environment.database.write) as session:
        await publish(session, Measured(who=f"key {number}", number=number))
    committed = time.perf_counter()
    async with asyncio.timeout(60):
        while number not in recorder.seen:  # noqa: ASYNC110 - what is waited for is a dictionary
            await asyncio.sleep(0.0005)
    return max(0.0, recorder.seen[number] - committed)


def _read(client: KafkaConfig) -> tuple[int, float]:
    """Read all messages, and return their number and the rate per second."""
    with closing(KafkaConsumer(client | {"group.id": "bench", "enable.auto.commit": False})) as reader:
        known = reader.list_topics(TOPIC.name, timeout=10).topics[TOPIC.name].partitions
        partitions = [TopicPartition(TOPIC.name, number, 0) for number in known]
        total = sum(reader.get_watermark_offsets(each, timeout=10)[1] for each in partitions)
        began, count = time.perf_counter(), 0
        reader.assign(partitions)
        while count < total:
            count += len(reader.consume(EVENTS_PER_BATCH, timeout=0.1))
        return total, total / (time.perf_counter() - began)


def _rate(batches: Sequence[tuple[float, int]]) -> float:
    """Measure from the end of the first batch, because the group forms before that."""
    (first, _), (last, _) = batches[0], batches[-1]
    return sum(count for _, count in batches[1:]) / (last - first)
