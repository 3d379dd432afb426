"""Scheduler service; enqueues periodic tasks, which workers run."""

from fastapi import APIRouter, FastAPI

from app.jobs import processes
from app.main import create_app


def create_scheduler() -> FastAPI:
    """Create the application, without routes, with the scheduler."""
    return create_app(routes=APIRouter(), background=[processes.schedule])
