"""A relay runs until it is stopped, despite any error."""

import asyncio
import time

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from structlog.testing import capture_logs

from app.db.session import Database
from app.outbox.background import run_in_background
from app.outbox.poller import DestinationUnavailable
from tests.outbox.conftest import RecordingPoller, commit_messages, make_message
from tests.waiting import TIMEOUT_SECONDS, wait_until


async def test_relay_runs_until_stopped(empty_database: Database, recording_poller: RecordingPoller) -> None:
    async with run_in_background(recording_poller.run()):
        await commit_messages(empty_database, make_message("first"))
        await wait_until(lambda: recording_poller.relayed == ["first"])
        await commit_messages(empty_database, make_message("second"))
        recording_poller.wake.set()
        await wait_until(lambda: recording_poller.relayed == ["first", "second"])


async def test_relay_stops_while_being_woken(empty_database: Database) -> None:
    relay = RecordingPoller(empty_database, poll_seconds=2 * TIMEOUT_SECONDS)
    await commit_messages(empty_database, make_message("first"))
    async with asyncio.timeout(TIMEOUT_SECONDS):
        async with run_in_background(relay.run()):
            await wait_until(lambda: relay.relayed == ["first"])
            await wait_until(lambda: bool(relay.wake._waiters))  # it has polled again, and found nothing
            relay.wake.set()


async def test_unavailable_destination_is_retried_and_logged(
    empty_database: Database, recording_poller: RecordingPoller
) -> None:
    recording_poller.errors.append(DestinationUnavailable("connection refused"))
    await commit_messages(empty_database, make_message("first"))
    with capture_logs() as lines:
        async with run_in_background(recording_poller.run()):
            await wait_until(lambda: len(lines) > 2)
            recording_poller.errors.clear()
            await wait_until(lambda: recording_poller.relayed == ["first"])

    assert lines[0]["error"] == f"{DestinationUnavailable.__name__}: connection refused"
    assert lines[1]["retry_in_seconds"] > lines[0]["retry_in_seconds"]


@pytest.mark.parametrize(
    ("error", "traced"),
    [
        (OperationalError("SELECT 1", {}, OSError("gone\nwith details")), False),
        (PoolTimeoutError("all in use\nwith details"), False),
        (KeyError("unexpected"), True),
    ],
    ids=["unavailable", "busy", "bug"],
)
async def test_relay_survives_errors(
    empty_database: Database, recording_poller: RecordingPoller, error: Exception, traced: bool
) -> None:
    recording_poller.errors.append(error)
    await commit_messages(empty_database, make_message("first"))
    with capture_logs() as lines:
        async with run_in_background(recording_poller.run()):
            await wait_until(lambda: recording_poller.relayed == ["first"])

    assert "details" not in lines[0]["error"]
    assert lines[0]["error"].startswith(type(error).__name__)
    assert ("exception" in lines[0]) is traced


async def test_clock_set_back_is_logged(recording_poller: RecordingPoller, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time
    monkeypatch.setattr("app.outbox.poller.time.time", lambda: real() - 3600)
    with capture_logs() as lines:
        async with run_in_background(recording_poller.run()):
            await wait_until(lambda: bool(lines))

    assert lines == [
        {
            "event": "system clock went back, retries are delayed",
            "seconds": 3600,
            "log_level": "warning",
        }
    ]
