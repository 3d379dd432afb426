"""The relay of a full outbox to Redis, compared with Redis alone."""

import statistics
import time
from uuid import uuid4

from dramatiq.brokers.redis import RedisBroker
from sqlmodel import select

from app.db.session import transaction
from app.jobs.broker import RedisDestination, make_broker
from app.jobs.relay import JOBS_PER_POLL, JobRelay
from app.outbox.models import OutboxMessage
from tests.bench.environment import BenchEnvironment, Figure, record_start_time

ROUNDS, EVENTS = 5, 5_000


async def measure(environment: BenchEnvironment) -> list[Figure]:
    """Send the same jobs to Redis both ways, alternately."""
    broker = make_broker(environment.settings)
    broker.namespace = f"bench-{uuid4()}"
    destination = RedisDestination(broker)
    relay = JobRelay(environment.database, destination, poll_seconds=1)
    relayed, pushed = [], []
    for _ in range(ROUNDS):
        events = await _fill(environment)
        began = time.perf_counter()
        while await relay.run_once():
            pass
        relayed.append(EVENTS / (time.perf_counter() - began))
        _clear(broker)
        began = time.perf_counter()
        for first in range(0, EVENTS, JOBS_PER_POLL):
            destination._append(events[first : first + JOBS_PER_POLL])
        pushed.append(EVENTS / (time.perf_counter() - began))
        _clear(broker)
        await environment.clear()
    broker.client.close()
    relay_rate, redis_rate = statistics.median(relayed), statistics.median(pushed)
    return [
        Figure("pushed to Redis alone", f"{redis_rate:,.0f} /s"),
        Figure("relayed from the database to Redis", f"{relay_rate:,.0f} /s", f"{relay_rate / redis_rate:.0%} of it"),
    ]


def _clear(broker: RedisBroker) -> None:
    """Delete only our own keys, because Redis may contain others."""
    for key in broker.client.scan_iter(f"{broker.namespace}:*"):
        broker.client.delete(key)


async def _fill(environment: BenchEnvironment) -> list[OutboxMessage]:
    async with transaction(environment.database.write) as session:
        for number in range(EVENTS):
            record_start_time.enqueue(session, number=number)
    async with transaction(environment.database.read_transaction) as session:
        return list((await session.exec(select(OutboxMessage))).all())
