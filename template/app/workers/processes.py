"""What each process does in the background, while its app runs."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, closing

from dramatiq.brokers.redis import RedisBroker
from fastapi import FastAPI

from app.core.config import load
from app.core.health import add_check
from app.outbox.relay import Destination, Relay, relaying
from app.outbox.settings import OutboxSettings
from app.workers.broker import RedisDestination, consuming, make_broker
from app.workers.in_process import InProcess
from app.workers.runner import Runner
from app.workers.scheduler import Scheduler, scheduling


@asynccontextmanager
async def nothing(_: FastAPI) -> AsyncGenerator[None]:
    """Do nothing: other processes do it all."""
    yield


@asynccontextmanager
async def everything(app: FastAPI) -> AsyncGenerator[None]:
    """Relay, do jobs and look at the clock, all in this process."""
    jobs = InProcess(Runner(app.state.database), app.state.workers.jobs)
    async with (
        jobs.running(app.state.workers.stop_seconds),
        _relaying(app, jobs),
        scheduling(Scheduler(app.state.database)),
    ):
        yield


@asynccontextmanager
async def work(app: FastAPI) -> AsyncGenerator[None]:
    """Do the jobs that Redis hands out."""
    broker = make_broker(app.state.workers)
    add_check(app, "redis", lambda _: _ping(broker))
    async with consuming(broker, Runner(app.state.database), app.state.workers):
        yield


@asynccontextmanager
async def relay(app: FastAPI) -> AsyncGenerator[None]:
    """Bring what waits in the outbox to Redis."""
    broker = make_broker(app.state.workers)
    add_check(app, "redis", lambda _: _ping(broker))
    with closing(broker.client):
        async with _relaying(app, RedisDestination(broker)):
            yield


@asynccontextmanager
async def schedule(app: FastAPI) -> AsyncGenerator[None]:
    """Look at the clock."""
    async with scheduling(Scheduler(app.state.database)):
        yield


@asynccontextmanager
async def _relaying(app: FastAPI, destination: Destination) -> AsyncGenerator[None]:
    """Relay, and let commits wake the relay where the database can do that."""
    runs = Relay(app.state.database, destination, load(OutboxSettings).poll_seconds)
    async with AsyncExitStack() as stack:
        for waking in getattr(app.state, "outbox_wakers", ()):
            await stack.enter_async_context(waking(runs.wake))
        await stack.enter_async_context(relaying(runs))
        yield


async def _ping(broker: RedisBroker) -> None:
    await asyncio.to_thread(broker.client.ping)
