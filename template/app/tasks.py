"""The processes in the background, which know every module's tasks by the list in `features.py`.

Each is the app without its routes: the same features, and `/health` to ask. So their
containers are watched, stopped and restarted as those of the API are.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from fastapi import APIRouter, FastAPI

from app.main import create_app
from app.workers import processes


def create_worker() -> FastAPI:
    """Build a process that does jobs."""
    return _create(processes.work)


def create_relay() -> FastAPI:
    """Build a process that hands jobs out."""
    return _create(processes.relay)


def create_scheduler() -> FastAPI:
    """Build a process that looks at the clock."""
    return _create(processes.schedule)


def _create(background: Callable[[FastAPI], AbstractAsyncContextManager[None]]) -> FastAPI:
    app = create_app(routes=APIRouter())
    app.state.background = background
    return app
