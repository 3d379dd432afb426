"""The relay process, which sends outbox messages to their destinations: the app without the API routes."""

from fastapi import APIRouter, FastAPI

from app.core.config import ConfigurationError
from app.main import create_app
from app.outbox import processes


def create_relay() -> FastAPI:
    """Create the app of a process that relays to all configured destinations.

    Raises:
        ConfigurationError: If no destination is configured, or if one is not ready.
    """
    app = create_app(routes=APIRouter(), background=[processes.relay])
    if not app.state.relays:
        raise ConfigurationError(
            "No destination is configured. In development, the API process relays messages itself.\n"
            "To run a separate relay, set the servers in .env (.env.example explains how)."
        )
    for check in app.state.relay_checks:
        check(app)
    return app
