"""The service that writes to people when something has happened."""

from fastapi import APIRouter, FastAPI

from app.events import consumers, processes
from app.main import create_app

# Their functions send mail. Name yours here as well; `app consumer --only NAME` does the others.
CONSUMERS = ("reminders", "welcome")


def create_mailer() -> FastAPI:
    """Build it: no routes, and the consumers that send mail.

    Raises:
        ConfigurationError: If a topic is missing.
    """
    present = [each.name for each in consumers.consumers() if each.name in CONSUMERS]
    app = create_app(routes=APIRouter(), background=[processes.consuming(*present)])
    for check in app.state.relay_checks:
        check(app)
    return app
