"""Work in the background: tasks, the workers that do them, and a schedule.

With `REDIS_URL` these are processes of their own: `app worker`, `app relay`, `app
scheduler`. Without, in development and tests, the API does it all itself.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.core.config import load
from app.workers import processes, purge
from app.workers.settings import WorkerSettings

__all__ = ["lifespan", "prepare_development", "purge", "setup"]


def prepare_development() -> None:
    """Nothing: without `REDIS_URL` none is needed."""


def setup(app: FastAPI) -> None:
    """Say how jobs come to workers: through Redis, or in the process of the API."""
    app.state.workers = load(WorkerSettings)
    if app.state.workers.redis_url is None:
        app.state.by_itself.append(processes.everything)
    else:
        app.state.relays.append(processes.to_redis)
        app.state.clocks.append(processes.schedule)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:  # noqa: ARG001 - every feature is called alike
    """Open nothing: what a process does in the background opens what it needs."""
    yield
