"""Background tasks of the scheduler."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from app.outbox.background import run_in_background
from app.topology.clock import Clock


@asynccontextmanager
async def clock(app: FastAPI) -> AsyncGenerator[None]:
    """Run the scheduler loop in the background; it waits while another process is the leader."""
    async with run_in_background(Clock(app.state.database).run()):
        yield


@asynccontextmanager
async def schedule(app: FastAPI) -> AsyncGenerator[None]:
    """Run all registered scheduler loops in the background."""
    async with AsyncExitStack() as stack:
        for looking in app.state.clocks:
            await stack.enter_async_context(looking(app))
        yield
