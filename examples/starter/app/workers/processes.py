"""What each process does in the background, while its app runs.

dramatiq is imported by whoever needs Redis: a process that only answers does without both.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

from fastapi import FastAPI

from app.core.health import add_check
from app.outbox.processes import running
from app.outbox.relay import Relay
from app.workers.in_process import InProcess
from app.workers.relay import JobRelay
from app.workers.runner import Runner
from app.workers.scheduler import Scheduler, scheduling

if TYPE_CHECKING:
    from dramatiq.brokers.redis import RedisBroker


@asynccontextmanager
async def everything(app: FastAPI) -> AsyncGenerator[None]:
    """Relay, do jobs and look at the clock, all in this process."""
    jobs = InProcess(Runner(app.state.database), app.state.workers.jobs)

    async with (
        jobs.running(app.state.workers.stop_seconds),
        running(JobRelay(app.state.database, jobs, app.state.outbox.poll_seconds), app),
        scheduling(Scheduler(app.state.database)),
    ):
        yield


@asynccontextmanager
async def to_redis(app: FastAPI) -> AsyncGenerator[Relay]:
    """Open the way to Redis."""
    from app.workers.broker import RedisDestination, make_broker  # noqa: PLC0415 - see above

    broker = make_broker(app.state.workers)
    add_check(app, "redis", lambda _: _ping(broker))
    with closing(broker.client):
        yield JobRelay(app.state.database, RedisDestination(broker), app.state.outbox.poll_seconds)


@asynccontextmanager
async def work(app: FastAPI) -> AsyncGenerator[None]:
    """Do the jobs that Redis hands out."""
    from app.workers.broker import consuming, make_broker  # noqa: PLC0415 - see above

    broker = make_broker(app.state.workers)
    add_check(app, "redis", lambda _: _ping(broker))
    async with consuming(broker, Runner(app.state.database), app.state.workers):
        yield


@asynccontextmanager
async def schedule(app: FastAPI) -> AsyncGenerator[None]:
    """Look at the clock."""
    async with scheduling(Scheduler(app.state.database)):
        yield


async def _ping(broker: "RedisBroker") -> None:
    await asyncio.to_thread(broker.client.ping)
