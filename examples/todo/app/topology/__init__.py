"""Running as several services, all from one package and one image, and the scheduler.

With `KAFKA_BOOTSTRAP_SERVERS`, each service is a separate process: `app service auth|api|scheduler|mailer`.
Without it, in development and tests, `app serve` runs all of them in one process.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.topology import processes

__all__ = ["lifespan", "prepare_development", "setup"]


def prepare_development() -> None:
    """Do nothing: in development, all services run in one process."""


def setup(app: FastAPI) -> None:
    """Register the scheduler loop for the scheduler service, or for this process if it runs all services."""
    app.state.clocks.append(processes.clock)
    if app.state.kafka.bootstrap_servers is None:
        app.state.by_itself.append(processes.clock)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:  # noqa: ARG001 - all features have the same signature
    """Do nothing: the scheduler runs as a background task."""
    yield
