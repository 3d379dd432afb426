"""A relay runs until it is stopped, despite any error."""

import asyncio
import time

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from structlog.testing import capture_logs

from app.db.session import Database
from app.outbox.relay import Unavailable, relaying
from tests.outbox.conftest import Taking, add, event
from tests.waiting import TIMEOUT_SECONDS, until


async def test_relay_runs_until_stopped(outbox: Database, taking: Taking) -> None:
    async with relaying(taking):
        await add(outbox, event("first"))
        await until(lambda: taking.taken == ["first"])
        await add(outbox, event("second"))
        taking.wake.set()
        await until(lambda: taking.taken == ["first", "second"])


async def test_relay_stops_while_being_woken(outbox: Database) -> None:
    relay = Taking(outbox, poll_seconds=2 * TIMEOUT_SECONDS)
    await add(outbox, event("first"))
    async with asyncio.timeout(TIMEOUT_SECONDS):
        async with relaying(relay):
            await until(lambda: relay.taken == ["first"])
            await until(lambda: bool(relay.wake._waiters))  # it has polled again, and found nothing
            relay.wake.set()


async def test_unavailable_destination_is_retried_and_logged(outbox: Database, taking: Taking) -> None:
    taking.errors.append(Unavailable("connection refused"))
    await add(outbox, event("first"))
    with capture_logs() as lines:
        async with relaying(taking):
            await until(lambda: len(lines) > 2)
            taking.errors.clear()
            await until(lambda: taking.taken == ["first"])

    assert lines[0]["error"] == f"{Unavailable.__name__}: connection refused"
    assert lines[1]["again_in_seconds"] > lines[0]["again_in_seconds"]


@pytest.mark.parametrize(
    ("error", "traced"),
    [
        (OperationalError("SELECT 1", {}, OSError("gone\nwith details")), False),
        (PoolTimeoutError("all in use\nwith details"), False),
        (KeyError("unexpected"), True),
    ],
    ids=["away", "busy", "bug"],
)
async def test_relay_survives_errors(outbox: Database, taking: Taking, error: Exception, traced: bool) -> None:
    taking.errors.append(error)
    await add(outbox, event("first"))
    with capture_logs() as lines:
        async with relaying(taking):
            await until(lambda: taking.taken == ["first"])

    assert "details" not in lines[0]["error"]
    assert lines[0]["error"].startswith(type(error).__name__)
    assert lines[0]["exc_info"] is (error if traced else None)


async def test_clock_set_back_is_logged(taking: Taking, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time
    monkeypatch.setattr("app.outbox.relay.time.time", lambda: real() - 3600)
    with capture_logs() as lines:
        async with relaying(taking):
            await until(lambda: bool(lines))

    assert lines == [
        {
            "event": "system clock went back, retries are delayed",
            "seconds": 3600,
            "log_level": "warning",
        }
    ]
