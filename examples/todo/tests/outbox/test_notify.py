"""Waking the relay at each commit, with NOTIFY of PostgreSQL."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import suppress

import psycopg
import pytest
from fastapi import FastAPI
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import text
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from app.core.config import load
from app.core.exceptions import ConflictError
from app.core.runtime import runtime_of
from app.db import dialect
from app.db.session import Database, transaction
from app.main import create_app
from app.outbox import WakeSources, notify
from app.outbox.background import run_in_background
from app.outbox.notify import listen_for_commits
from app.outbox.repository import OutboxRepository
from tests.outbox.conftest import RecordingPoller, commit_messages, make_message
from tests.waiting import TIMEOUT_SECONDS, wait_until


@pytest.fixture
def _notifications_disabled() -> Generator[None]:
    """A process whose commits do not notify yet."""
    was_enabled = sqlalchemy_event.contains(Session, "before_commit", notify._notify)
    if was_enabled:
        sqlalchemy_event.remove(Session, "before_commit", notify._notify)
    yield
    if was_enabled and not sqlalchemy_event.contains(Session, "before_commit", notify._notify):
        sqlalchemy_event.listen(Session, "before_commit", notify._notify)


@pytest.fixture
def notifications_enabled(app: FastAPI) -> None:
    """A process whose commits notify, which `create_app` enables."""
    assert runtime_of(app)[WakeSources] == [listen_for_commits]


@pytest.fixture
async def listener(empty_database: Database) -> AsyncGenerator[psycopg.AsyncConnection]:
    """A connection that receives notifications."""
    url = dialect.database_url(load(dialect.DatabaseSettings)).set(drivername="postgresql")
    async with await psycopg.AsyncConnection.connect(
        url.render_as_string(hide_password=False), autocommit=True
    ) as connection:
        await connection.execute("LISTEN outbox")
        yield connection


async def count_notifications(listener: psycopg.AsyncConnection) -> int:
    """Return the number of notifications before one that is sent now."""
    await listener.execute("SELECT pg_notify('outbox', 'end')")
    count = 0
    async for note in listener.notifies(timeout=TIMEOUT_SECONDS):
        if note.payload == "end":
            return count
        count += 1
    raise TimeoutError


async def test_commit_notifies_once(
    notifications_enabled: None, empty_database: Database, listener: psycopg.AsyncConnection
) -> None:
    await commit_messages(empty_database, make_message("first"), make_message("second"))

    assert await count_notifications(listener) == 1


async def test_savepoint_does_not_notify(
    notifications_enabled: None, empty_database: Database, listener: psycopg.AsyncConnection
) -> None:
    async with transaction(empty_database.write) as session:
        async with session.begin_nested():
            OutboxRepository(session).add(make_message("first"))
        assert await count_notifications(listener) == 0
    assert await count_notifications(listener) == 1


async def test_rollback_does_not_notify(
    notifications_enabled: None, empty_database: Database, listener: psycopg.AsyncConnection
) -> None:
    with suppress(ConflictError):
        async with transaction(empty_database.write) as session:
            OutboxRepository(session).add(make_message("first"))
            await session.flush()
            raise ConflictError

    assert await count_notifications(listener) == 0


async def test_commit_without_messages_does_not_notify(
    notifications_enabled: None, empty_database: Database, listener: psycopg.AsyncConnection
) -> None:
    async with transaction(empty_database.write) as session:
        await session.exec(text("SELECT 1"))  # ty: ignore

    assert await count_notifications(listener) == 0


async def test_notification_wakes_relay(notifications_enabled: None, empty_database: Database) -> None:
    relay = RecordingPoller(empty_database, poll_seconds=2 * TIMEOUT_SECONDS)
    async with listen_for_commits(relay.wake), run_in_background(relay.run()):
        await asyncio.wait_for(relay.wake.wait(), TIMEOUT_SECONDS)
        await wait_until(lambda: not relay.wake.is_set())
        await commit_messages(empty_database, make_message("first"))
        await wait_until(lambda: relay.relayed == ["first"])


async def test_broken_connection_is_replaced(notifications_enabled: None, empty_database: Database) -> None:
    wake = asyncio.Event()
    with capture_logs() as lines:
        async with listen_for_commits(wake, reconnect_seconds=0.01):
            await asyncio.wait_for(wake.wait(), TIMEOUT_SECONDS)
            wake.clear()
            async with transaction(empty_database.write) as session:
                listeners = "pid <> pg_backend_pid() AND query = 'LISTEN outbox' AND datname = current_database()"
                ended = text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {listeners}")  # noqa: S608
                assert (await session.exec(ended)).all() == [(True,)]  # ty: ignore
            await asyncio.wait_for(wake.wait(), TIMEOUT_SECONDS)
            wake.clear()
            await commit_messages(empty_database, make_message("first"))
            await asyncio.wait_for(wake.wait(), TIMEOUT_SECONDS)

    [line] = lines
    assert line["event"] == "outbox: LISTEN connection lost, polling only"
    assert "\n" not in line["error"]


@pytest.mark.usefixtures("_notifications_disabled")
async def test_notifications_can_be_disabled(
    empty_database: Database, listener: psycopg.AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTBOX_NOTIFY", "false")
    app = create_app()
    await commit_messages(empty_database, make_message("first"))

    assert runtime_of(app)[WakeSources] == []
    assert await count_notifications(listener) == 0


@pytest.mark.usefixtures("_notifications_disabled")
async def test_notifications_are_enabled_once(empty_database: Database, listener: psycopg.AsyncConnection) -> None:
    for _ in range(2):
        create_app()
    await commit_messages(empty_database, make_message("first"))

    assert await count_notifications(listener) == 1
    sqlalchemy_event.remove(Session, "before_commit", notify._notify)
