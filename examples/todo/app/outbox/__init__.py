"""The outbox: what must happen after a commit is a row of the same transaction.

The row lives until the work is done, and goes in the transaction that does it. Whatever
dies in between, a relay finds the row and sends it again; what was rolled back was never
there.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.core.config import load
from app.outbox.models import OutboxEvent
from app.outbox.relay import Relay
from app.outbox.settings import OutboxSettings

__all__ = ["OutboxEvent", "OutboxSettings", "Relay", "lifespan", "prepare_development", "setup"]


def prepare_development() -> None:
    """Nothing: it is a table."""


def setup(app: FastAPI) -> None:
    """Let those who take rows say how they are reached, and those who can wake relays or look at the clock say so."""
    app.state.outbox = load(OutboxSettings)
    app.state.relays = []
    app.state.relay_checks = []  # what must be there before a relay starts
    app.state.relay_wakers = []
    app.state.clocks = []


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:  # noqa: ARG001 - every feature is called alike
    """Open nothing: relays begin in processes of their own."""
    yield
