"""Email service; consumes events, enqueues emails for them, and sends all emails."""

from fastapi import APIRouter, FastAPI

from app.core.config import ConfigurationError, load
from app.jobs import processes as jobs
from app.jobs.settings import EXAMPLE_URL, WorkerSettings
from app.jobs.task import Queue
from app.main import create_app
from app.messaging import consumers, processes

# Consumers that send emails. Add yours here; run the others with `app consumer --only NAME`.
CONSUMERS = ("reminders", "welcome")


def create_mailer() -> FastAPI:
    """Create the application, without routes, with the consumers and the queue of emails.

    Raises:
        ConfigurationError: If Redis is not configured, or a topic is missing.
    """
    if load(WorkerSettings).redis_url is None:
        raise ConfigurationError(f"REDIS_URL: must be set, because emails are jobs. Example: {EXAMPLE_URL}")
    present = [each.name for each in consumers.all_consumers() if each.name in CONSUMERS]
    app = create_app(routes=APIRouter(), background=[processes.consuming(*present), jobs.working(Queue.EMAIL)])
    for check in app.state.relay_checks:
        check(app)
    return app
