"""Background jobs: tasks, workers that run them, and a scheduler for periodic tasks.

If `REDIS_URL` is set, separate processes run the jobs (`app/processes.py`). Otherwise, in development and tests, the API
process runs them. Functions import dramatiq and redis when they need them, so API processes do not load them.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

from fastapi import FastAPI

from app.core.config import ConfigurationError, load
from app.core.runtime import Feature, Lifespan, Runtime
from app.db.session import Database
from app.jobs import purge
from app.jobs.in_process import InProcessDestination
from app.jobs.relay import JobRelay
from app.jobs.runner import JobRunner
from app.jobs.scheduler import Scheduler
from app.jobs.settings import EXAMPLE_URL, WorkerSettings
from app.jobs.task import Queue
from app.outbox import BackgroundWork, OutboxSettings, run_relay
from app.outbox.background import run_in_background

if TYPE_CHECKING:
    from dramatiq.brokers.redis import RedisBroker

__all__ = ["Queue", "enqueue_periodic_tasks", "feature", "purge", "relay_jobs", "require_redis", "run_jobs"]


def _setup(_: FastAPI, runtime: Runtime) -> None:
    settings = runtime[WorkerSettings] = load(WorkerSettings)
    if settings.redis_url is None:
        runtime[BackgroundWork].append(_run_in_process)


def require_redis() -> None:
    """Require Redis, without which jobs run in the API process.

    Raises:
        ConfigurationError: If `REDIS_URL` is not set.
    """
    if load(WorkerSettings).redis_url is None:
        raise ConfigurationError(
            "REDIS_URL is not set: in development, the API process runs the jobs.\n"
            f"To run separate processes, set it for the API and for all of them. Example: {EXAMPLE_URL}"
        )


@asynccontextmanager
async def _run_in_process(runtime: Runtime) -> AsyncGenerator[None]:
    """Run the relay, the jobs, and the scheduler in this process."""
    settings, database = runtime[WorkerSettings], runtime[Database]
    runner = JobRunner(database, settings.jobs)
    relay = JobRelay(database, InProcessDestination(runner), runtime[OutboxSettings].poll_seconds)
    try:
        async with run_relay(relay, runtime), run_in_background(Scheduler(database).run()):
            yield
    finally:
        await runner.stop(settings.stop_seconds)


@asynccontextmanager
async def relay_jobs(runtime: Runtime) -> AsyncGenerator[None]:
    """Send jobs to Redis. Without Redis, do nothing: the API process runs them."""
    if runtime[WorkerSettings].redis_url is None:
        yield
        return
    from app.jobs.broker import RedisDestination, make_broker  # noqa: PLC0415 - see above

    broker = make_broker(runtime[WorkerSettings])
    runtime.add_check("redis", lambda _: _ping(broker))
    destination = RedisDestination(broker)
    with closing(broker.client):
        async with run_relay(JobRelay(runtime[Database], destination, runtime[OutboxSettings].poll_seconds), runtime):
            yield


def run_jobs(*queues: Queue) -> Lifespan:
    """Return background work that runs the jobs of some queues from Redis."""

    @asynccontextmanager
    async def run(runtime: Runtime) -> AsyncGenerator[None]:
        from app.jobs.broker import make_broker, run_worker  # noqa: PLC0415 - see above

        settings = runtime[WorkerSettings]
        broker = make_broker(settings)
        runtime.add_check("redis", lambda _: _ping(broker))
        async with run_worker(broker, JobRunner(runtime[Database], settings.jobs), settings, queues):
            yield

    return run


@asynccontextmanager
async def enqueue_periodic_tasks(runtime: Runtime) -> AsyncGenerator[None]:
    """Enqueue periodic tasks when they are due."""
    async with run_in_background(Scheduler(runtime[Database]).run()):
        yield


async def _ping(broker: "RedisBroker") -> None:
    await asyncio.to_thread(broker.client.ping)


feature = Feature(setup=_setup, commands=("app.jobs.commands",))
