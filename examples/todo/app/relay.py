"""The process that brings what waits in the outbox to where it is done: the app without its routes."""

from fastapi import APIRouter, FastAPI

from app.core.config import ConfigurationError
from app.main import create_app
from app.outbox import processes


def create_relay() -> FastAPI:
    """Build a process that relays to every destination there is.

    Raises:
        ConfigurationError: If there is none, or one is not ready for it.
    """
    app = create_app(routes=APIRouter(), background=[processes.relay])
    if not app.state.relays:
        raise ConfigurationError(
            "There is nowhere to relay to: in development the API does it all itself, as long as it runs.\n"
            "To have processes for it, name the servers in .env (.env.example explains how)."
        )
    for check in app.state.relay_checks:
        check(app)
    return app
