"""What a scheduler does while its app runs."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from app.outbox.background import going_on
from app.topology.clock import Clock


@asynccontextmanager
async def clock(app: FastAPI) -> AsyncGenerator[None]:
    """Look after what time brings, or wait until whoever does so is gone."""
    async with going_on(Clock(app.state.database).run()):
        yield


@asynccontextmanager
async def schedule(app: FastAPI) -> AsyncGenerator[None]:
    """Do everything that there is a time for."""
    async with AsyncExitStack() as stack:
        for looking in app.state.clocks:
            await stack.enter_async_context(looking(app))
        yield
