"""The processes that do tasks, and know those of every module by the list in `features.py`.

Each is the app without its routes: the same features, and `/health` to ask. So their
containers are watched, stopped and restarted as those of the API are.
"""

from fastapi import APIRouter, FastAPI

from app.main import create_app
from app.workers import processes


def create_worker() -> FastAPI:
    """Build a process that does jobs."""
    return create_app(routes=APIRouter(), background=[processes.work])


def create_scheduler() -> FastAPI:
    """Build a process that looks at the clock."""
    return create_app(routes=APIRouter(), background=[processes.schedule])
