"""Waking the relay at the commit, with LISTEN and NOTIFY of PostgreSQL.

One notification a transaction, sent with its commit. It is only a hint: the relay also
looks by itself, so one that is lost costs a moment. Commits that notify take their turn
(PostgreSQL holds a lock for the whole server meanwhile), so it can be switched off.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import psycopg
import structlog
from fastapi import FastAPI
from pydantic import Field
from pydantic_settings import SettingsConfigDict
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from app.core.config import EnvSettings, load
from app.db import dialect
from app.outbox.background import going_on
from app.outbox.repository import WAKE_RELAY

AGAIN_SECONDS = 1.0

logger = structlog.get_logger(__name__)


class NotifySettings(EnvSettings):
    """Whether commits wake the relay."""

    model_config = SettingsConfigDict(env_prefix="OUTBOX_")

    notify: bool = Field(default=True, description="Wake the relay at each commit; otherwise it only looks by itself.")


def prepare_development() -> None:
    """Nothing: it is the same server."""


def setup(app: FastAPI) -> None:
    """Let commits of this process notify, and its relay listen."""
    if not load(NotifySettings).notify:
        return
    app.state.relay_wakers.append(listening)
    if not event.contains(Session, "before_commit", _notify):
        event.listen(Session, "before_commit", _notify)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:  # noqa: ARG001 - every feature is called alike
    """Open nothing: listening begins with a relay."""
    yield


def _notify(session: Session) -> None:
    """Notify with the outermost commit; the end of `begin_nested` decides nothing."""
    if not session.in_nested_transaction() and session.info.pop(WAKE_RELAY, False):
        session.execute(text("SELECT pg_notify('outbox', '')"))


def listening(wake: asyncio.Event, again_seconds: float = AGAIN_SECONDS) -> AbstractAsyncContextManager[None]:
    """Set `wake` at each commit that notifies, while the block runs."""
    return going_on(_listen(wake, again_seconds))


async def _listen(wake: asyncio.Event, again_seconds: float) -> None:
    url = dialect.database_url(load(dialect.DatabaseSettings)).set(drivername="postgresql")
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(
                url.render_as_string(hide_password=False), autocommit=True
            ) as connection:
                await connection.execute("LISTEN outbox")
                wake.set()  # for what came meanwhile
                async for _ in connection.notifies():
                    wake.set()
        except (psycopg.Error, OSError) as error:
            logger.warning("outbox: not listening, only looking", error=str(error).partition("\n")[0])
        await asyncio.sleep(again_seconds)
