"""The consumer process: the app without the API routes, with the same features and health endpoints."""

from fastapi import APIRouter, FastAPI

from app.main import create_app
from app.messaging import processes


def create_consumer(*names: str) -> FastAPI:
    """Create the app of a process that runs event consumers: those with the given names, or all.

    Raises:
        LookupError: If there is no consumer with one of the names.
    """
    return create_app(routes=APIRouter(), background=[processes.consuming(*names)])
