"""Public API service; verifies tokens but cannot issue them."""

from fastapi import FastAPI

from app.api import router
from app.main import create_app
from app.topology.routes import about_all_else


def create_api() -> FastAPI:
    """Create the application, with all routes except those for authentication and accounts."""
    return create_app(routes=about_all_else(router))
