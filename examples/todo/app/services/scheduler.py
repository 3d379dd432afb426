"""Scheduler service; only publishes events for due items, which other services handle."""

from fastapi import APIRouter, FastAPI

from app.main import create_app
from app.topology import processes


def create_scheduler() -> FastAPI:
    """Create the application, without routes, with the scheduler loops."""
    return create_app(routes=APIRouter(), background=[processes.schedule])
