"""Latency from the commit to the start of the task, for each destination and wake source."""

import asyncio
import random
import statistics
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from uuid import uuid4

from app.core.runtime import runtime_of
from app.db.session import transaction
from app.jobs.broker import RedisDestination, make_broker, run_worker
from app.jobs.in_process import InProcessDestination
from app.jobs.relay import Destination, JobRelay
from app.jobs.runner import JobRunner
from app.main import create_app
from app.outbox import OutboxSettings, WakeSources
from app.outbox.background import run_in_background
from tests.bench.environment import BenchEnvironment, Figure, record_start_time, start_times

ROUNDS, JOBS = 5, 12

POLL_SECONDS: float = OutboxSettings.model_fields["poll_seconds"].default

WakeSource = Callable[[asyncio.Event], AbstractAsyncContextManager[None]]


async def measure(environment: BenchEnvironment) -> list[Figure]:
    """Run one job after the other, alternating between the variants."""
    wake_sources = _wake_sources()
    variants: dict[
        str, tuple[Callable[[BenchEnvironment], AbstractAsyncContextManager[Destination]], Sequence[WakeSource]]
    ] = {
        "Redis, polling": (_redis, ()),
        "in process, polling": (_in_process, ()),
    }
    if wake_sources:
        variants |= {"Redis, NOTIFY": (_redis, wake_sources), "in process, NOTIFY": (_in_process, wake_sources)}
    latencies: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(ROUNDS):
        for name, (destination, chosen) in variants.items():
            async with destination(environment) as made, _relaying(environment, made, chosen):
                latencies[name] += [await _measure_latency(environment) for _ in range(JOBS)]
    return [_figure(name, seconds) for name, seconds in latencies.items()]


def _wake_sources() -> Sequence[WakeSource]:
    """Return the wake sources of the features; SQLite has none."""
    return runtime_of(create_app())[WakeSources]


@asynccontextmanager
async def _redis(environment: BenchEnvironment) -> AsyncGenerator[Destination]:
    broker = make_broker(environment.settings)
    broker.namespace = f"bench-{uuid4()}"
    async with run_worker(broker, JobRunner(environment.database), environment.settings):
        yield RedisDestination(broker)


@asynccontextmanager
async def _in_process(environment: BenchEnvironment) -> AsyncGenerator[Destination]:
    runner = JobRunner(environment.database, environment.settings.jobs)
    try:
        yield InProcessDestination(runner)
    finally:
        await runner.stop(seconds=5)


@asynccontextmanager
async def _relaying(
    environment: BenchEnvironment, destination: Destination, wake_sources: Sequence[WakeSource]
) -> AsyncGenerator[None]:
    relay = JobRelay(environment.database, destination, POLL_SECONDS)
    async with AsyncExitStack() as stack:
        for wake_source in wake_sources:
            await stack.enter_async_context(wake_source(relay.wake))
        await stack.enter_async_context(run_in_background(relay.run()))
        await asyncio.sleep(0.3)  # wait until all subscriptions are active
        yield


async def _measure_latency(environment: BenchEnvironment) -> float:
    number = len(start_times)
    await asyncio.sleep(random.uniform(0, POLL_SECONDS))  # noqa: S311 - at a random time between two polls
    async with transaction(environment.database.write) as session:
        record_start_time.enqueue(session, number=number)
    committed = time.perf_counter()
    async with asyncio.timeout(30):
        while number not in start_times:  # noqa: ASYNC110 - what is waited for is a dictionary
            await asyncio.sleep(0.0005)
    await asyncio.sleep(0.01)  # wait until the job has ended and the relay is idle
    return max(0.0, start_times[number] - committed)


def _figure(name: str, seconds: list[float]) -> Figure:
    *_, p95 = statistics.quantiles(seconds, n=20)
    return Figure(
        f"from commit to task, {name}: median", f"{statistics.median(seconds) * 1e3:.1f} ms", f"p95 {p95 * 1e3:.1f} ms"
    )
