"""Several services from one package and one image, and the clock of the one that schedules.

With `KAFKA_BOOTSTRAP_SERVERS` each is a process: `app service auth|api|scheduler|mailer`.
Without, in development and tests, `app serve` is all of them.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.topology import processes

__all__ = ["lifespan", "prepare_development", "setup"]


def prepare_development() -> None:
    """Nothing: all of it is in one process then."""


def setup(app: FastAPI) -> None:
    """Say who looks at the clock: the scheduler, or the process of the API."""
    app.state.clocks.append(processes.clock)
    if app.state.kafka.bootstrap_servers is None:
        app.state.by_itself.append(processes.clock)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:  # noqa: ARG001 - every feature is called alike
    """Open nothing: the clock runs in the background."""
    yield
