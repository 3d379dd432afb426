"""Background jobs: tasks, workers that run them, and a scheduler for periodic tasks.

With `REDIS_URL` these run in separate processes: `app worker`, `app relay`, `app
scheduler`. Without, in development and tests, the API process runs all of them.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.core.config import load
from app.jobs import processes, purge
from app.jobs.settings import WorkerSettings

__all__ = ["lifespan", "prepare_development", "purge", "setup"]


def prepare_development() -> None:
    """Do nothing: without `REDIS_URL`, no server is needed."""


def setup(app: FastAPI) -> None:
    """Register how jobs are run: by workers with Redis, or in the API process."""
    app.state.workers = load(WorkerSettings)
    if app.state.workers.redis_url is None:
        app.state.by_itself.append(processes.everything)
    else:
        app.state.relays.append(processes.to_redis)
        app.state.clocks.append(processes.schedule)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:  # noqa: ARG001 - all features have the same interface
    """Open nothing: background tasks open what they need."""
    yield
