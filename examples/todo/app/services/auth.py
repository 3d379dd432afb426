"""Authentication service; issues tokens."""

from fastapi import FastAPI

from app.api import router
from app.main import create_app
from app.topology.routes import about_accounts


def create_auth() -> FastAPI:
    """Create the application, with the routes for authentication and accounts."""
    return create_app(routes=about_accounts(router))
