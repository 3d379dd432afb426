"""The service that looks at the clock. What it finds it says by events; it does nothing about it."""

from fastapi import APIRouter, FastAPI

from app.main import create_app
from app.topology import processes


def create_scheduler() -> FastAPI:
    """Build it: no routes, and everything that there is a time for."""
    return create_app(routes=APIRouter(), background=[processes.schedule])
