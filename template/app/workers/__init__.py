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
    """Choose what this process does: nothing but answer, if others do the work."""
    app.state.workers = load(WorkerSettings)
    app.state.background = processes.everything if app.state.workers.redis_url is None else processes.nothing


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Do it while the app runs."""
    async with app.state.background(app):
        yield
