"""Wakes the relay at each commit, with LISTEN and NOTIFY of PostgreSQL.

Each transaction sends one notification with its commit. It is only a hint: the relay also
polls, so a lost notification only delays a message. PostgreSQL holds a server-wide lock
while a transaction with notifications commits, so this can be switched off.
"""

import asyncio
from contextlib import AbstractAsyncContextManager

import psycopg
import structlog
from fastapi import FastAPI
from pydantic import Field
from pydantic_settings import SettingsConfigDict
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from app.core.config import EnvSettings, load
from app.core.runtime import Feature, Runtime
from app.db import dialect
from app.outbox import WakeSources
from app.outbox.background import run_in_background
from app.outbox.errors import describe_error
from app.outbox.repository import WAKE_RELAY

RECONNECT_SECONDS = 1.0

logger = structlog.get_logger(__name__)


class NotifySettings(EnvSettings):
    """Whether commits notify the relay."""

    model_config = SettingsConfigDict(env_prefix="OUTBOX_")

    notify: bool = Field(default=True, description="Wake the relay at each commit; otherwise it only polls.")


def _setup(_: FastAPI, runtime: Runtime) -> None:
    """Make commits of this process notify, and its relays listen."""
    if not load(NotifySettings).notify:
        return
    runtime[WakeSources].append(listen_for_commits)
    if not event.contains(Session, "before_commit", _notify):
        event.listen(Session, "before_commit", _notify)


def _notify(session: Session) -> None:
    """Notify at the outermost commit, not when a savepoint ends."""
    if not session.in_nested_transaction() and session.info.pop(WAKE_RELAY, False):
        session.execute(text("SELECT pg_notify('outbox', '')"))


def listen_for_commits(
    wake: asyncio.Event, reconnect_seconds: float = RECONNECT_SECONDS
) -> AbstractAsyncContextManager[None]:
    """Set `wake` at each notification, in the background of the block."""
    return run_in_background(_listen(wake, reconnect_seconds))


async def _listen(wake: asyncio.Event, reconnect_seconds: float) -> None:
    url = dialect.database_url(load(dialect.DatabaseSettings)).set(drivername="postgresql")
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(
                url.render_as_string(hide_password=False), autocommit=True
            ) as connection:
                await connection.execute("LISTEN outbox")
                wake.set()  # for commits before LISTEN
                async for _ in connection.notifies():
                    wake.set()
        except (psycopg.Error, OSError) as error:
            logger.warning("outbox: LISTEN connection lost, polling only", error=describe_error(error))
        await asyncio.sleep(reconnect_seconds)


feature = Feature(setup=_setup)
