"""The worker and scheduler processes.

Each is the app without the API routes: the same features, and the health endpoints. Their
containers are therefore monitored, stopped and restarted in the same way as those of the API.
"""

from fastapi import APIRouter, FastAPI

from app.jobs import processes
from app.jobs.task import Queue
from app.main import create_app


def create_worker() -> FastAPI:
    """Create the app of a process that runs jobs."""
    return create_app(routes=APIRouter(), background=[processes.working(*Queue)])


def create_scheduler() -> FastAPI:
    """Create the app of a process that enqueues periodic tasks."""
    return create_app(routes=APIRouter(), background=[processes.schedule])
