"""Transactional outbox: work that must happen after a commit is a row of the same transaction.

The row is deleted in the transaction that does the work. If a process crashes in between,
a relay finds the row and sends it again. A rollback removes the row with everything else.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.core.config import load
from app.outbox.models import OutboxMessage
from app.outbox.poller import OutboxPoller
from app.outbox.settings import OutboxSettings

__all__ = ["OutboxMessage", "OutboxPoller", "OutboxSettings", "lifespan", "prepare_development", "setup"]


def prepare_development() -> None:
    """Do nothing: the outbox is a table of the database."""


def setup(app: FastAPI) -> None:
    """Create the registries in which features add relays, checks before a relay starts, wakers, and schedulers."""
    app.state.outbox = load(OutboxSettings)
    app.state.relays = []
    app.state.relay_checks = []  # called before a relay starts; they raise if it cannot work
    app.state.relay_wakers = []
    app.state.clocks = []


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:  # noqa: ARG001 - all features have the same interface
    """Open nothing: relays run in separate processes."""
    yield
