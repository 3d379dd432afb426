"""The service that people work with. It believes tokens, and cannot make any."""

from fastapi import FastAPI

from app.api import router
from app.main import create_app
from app.topology.routes import about_all_else


def create_api() -> FastAPI:
    """Build it: all routes but those of accounts."""
    return create_app(routes=about_all_else(router))
