"""Transactional outbox: work that must happen after a commit is a row of the same transaction.

The row is deleted in the transaction that does the work. If a process crashes in between,
a relay finds the row and sends it again. A rollback removes the row with everything else.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from app.core.config import EnvSettings, load
from app.core.runtime import Feature, Runtime
from app.outbox.models import OutboxMessage
from app.outbox.poller import OutboxPoller, run_poller

__all__ = ["OutboxMessage", "OutboxPoller", "OutboxSettings", "Wakers", "feature", "run_relay"]


class OutboxSettings(EnvSettings):
    """How often the relay polls the outbox, in addition to notifications."""

    model_config = SettingsConfigDict(env_prefix="OUTBOX_")

    poll_seconds: float = Field(default=0.25, gt=0, le=60, description="Seconds between two polls of an idle relay.")


class Wakers(list[Callable[[asyncio.Event], AbstractAsyncContextManager[None]]]):
    """Ways to wake a relay: each sets an event while its block runs, in addition to polling."""


def _setup(_: FastAPI, runtime: Runtime) -> None:
    runtime[OutboxSettings] = load(OutboxSettings)
    runtime[Wakers] = Wakers()


@asynccontextmanager
async def run_relay(relay: OutboxPoller, runtime: Runtime) -> AsyncGenerator[None]:
    """Run a relay in the background of the block, woken by commits if the database supports notifications."""
    async with AsyncExitStack() as stack:
        for waking in runtime[Wakers]:
            await stack.enter_async_context(waking(relay.wake))
        await stack.enter_async_context(run_poller(relay))
        yield


feature = Feature(setup=_setup, commands=("app.processes", "app.outbox.commands"))
