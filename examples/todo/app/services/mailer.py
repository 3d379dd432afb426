"""Email service; consumes events and sends emails."""

from fastapi import APIRouter, FastAPI

from app.main import create_app
from app.messaging import consumers, processes

# Consumers that send emails. Add yours here; run the others with `app consumer --only NAME`.
CONSUMERS = ("reminders", "welcome")


def create_mailer() -> FastAPI:
    """Create the application, without routes, with the consumers that send emails.

    Raises:
        ConfigurationError: If a topic is missing.
    """
    present = [each.name for each in consumers.all_consumers() if each.name in CONSUMERS]
    app = create_app(routes=APIRouter(), background=[processes.consuming(*present)])
    for check in app.state.relay_checks:
        check(app)
    return app
