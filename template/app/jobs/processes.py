"""Background tasks of each process, while its app runs.

dramatiq and redis are imported only by the functions that use them, so API processes do
not load them.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from typing import TYPE_CHECKING

from fastapi import FastAPI

from app.core.health import add_check
from app.jobs.in_process import InProcessDestination
from app.jobs.relay import JobRelay
from app.jobs.runner import JobRunner
from app.jobs.scheduler import Scheduler, run_scheduler
from app.jobs.task import Queue
from app.outbox.poller import OutboxPoller
from app.outbox.processes import run_relay

if TYPE_CHECKING:
    from dramatiq.brokers.redis import RedisBroker


@asynccontextmanager
async def everything(app: FastAPI) -> AsyncGenerator[None]:
    """Run the relay, the jobs, and the scheduler in this process."""
    jobs = InProcessDestination(JobRunner(app.state.database), app.state.workers.jobs)

    async with (
        jobs.running(app.state.workers.stop_seconds),
        run_relay(JobRelay(app.state.database, jobs, app.state.outbox.poll_seconds), app),
        run_scheduler(Scheduler(app.state.database)),
    ):
        yield


@asynccontextmanager
async def to_redis(app: FastAPI) -> AsyncGenerator[OutboxPoller]:
    """Connect to Redis, and yield a relay to it."""
    from app.jobs.broker import RedisDestination, make_broker  # noqa: PLC0415 - see above

    broker = make_broker(app.state.workers)
    add_check(app, "redis", lambda _: _ping(broker))
    with closing(broker.client):
        yield JobRelay(app.state.database, RedisDestination(broker), app.state.outbox.poll_seconds)


def working(*queues: Queue) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Return a background task that runs the jobs of some queues from Redis."""

    @asynccontextmanager
    async def work(app: FastAPI) -> AsyncGenerator[None]:
        from app.jobs.broker import make_broker, run_worker  # noqa: PLC0415 - see above

        broker = make_broker(app.state.workers)
        add_check(app, "redis", lambda _: _ping(broker))
        async with run_worker(broker, JobRunner(app.state.database), app.state.workers, queues):
            yield

    return work


@asynccontextmanager
async def schedule(app: FastAPI) -> AsyncGenerator[None]:
    """Run the scheduler."""
    async with run_scheduler(Scheduler(app.state.database)):
        yield


async def _ping(broker: "RedisBroker") -> None:
    await asyncio.to_thread(broker.client.ping)
