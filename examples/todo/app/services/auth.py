"""The service that knows who people are, and signs tokens that say so."""

from fastapi import FastAPI

from app.api import router
from app.main import create_app
from app.topology.routes import about_accounts


def create_auth() -> FastAPI:
    """Build it: the routes of accounts."""
    return create_app(routes=about_accounts(router))
