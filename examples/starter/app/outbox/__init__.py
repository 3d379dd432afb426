"""Transactional outbox: work that must happen after a commit is a row of the same transaction.

The row is deleted when the work is done. If a process crashes before,
a relay finds the row and sends it again. A rollback removes the row with everything else.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from fastapi import APIRouter, FastAPI
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from app.core.config import EnvSettings, load
from app.core.runtime import Feature, Lifespan, Runtime, runtime_of
from app.outbox.background import run_in_background
from app.outbox.models import OutboxMessage
from app.outbox.poller import OutboxPoller

__all__ = ["BackgroundWork", "OutboxMessage", "OutboxPoller", "OutboxSettings", "WakeSources", "feature", "run_relay"]


class OutboxSettings(EnvSettings):
    """How often relays poll the outbox."""

    model_config = SettingsConfigDict(env_prefix="OUTBOX_")

    poll_seconds: float = Field(default=0.25, gt=0, le=60, description="Seconds between two polls of an idle relay.")


class BackgroundWork(list[Lifespan]):
    """What this process does in the background while the application runs.

    Features add the work of separate processes that are not configured, as in development.
    """


class WakeSources(list[Callable[[asyncio.Event], AbstractAsyncContextManager[None]]]):
    """Ways to wake a relay between two polls: each sets an event whenever there may be work, while its block runs."""


def _setup(app: FastAPI, runtime: Runtime) -> None:
    runtime[OutboxSettings] = load(OutboxSettings)
    runtime[WakeSources] = WakeSources()
    runtime[BackgroundWork] = BackgroundWork()
    app.include_router(APIRouter(lifespan=_run_background))  # starts after all features, and stops before them


@asynccontextmanager
async def _run_background(app: FastAPI) -> AsyncGenerator[None]:
    runtime = runtime_of(app)
    async with AsyncExitStack() as stack:
        for work in runtime[BackgroundWork]:
            await stack.enter_async_context(work(runtime))
        yield


@asynccontextmanager
async def run_relay(relay: OutboxPoller, runtime: Runtime) -> AsyncGenerator[None]:
    """Run a relay in the background of the block."""
    async with AsyncExitStack() as stack:
        for wake_source in runtime[WakeSources]:
            await stack.enter_async_context(wake_source(relay.wake))
        await stack.enter_async_context(run_in_background(relay.run()))
        yield


feature = Feature(setup=_setup, commands=("app.outbox.commands",))
