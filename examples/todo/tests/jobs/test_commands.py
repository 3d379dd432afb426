"""Commands that run workers and schedulers, and list the schedules."""

import logging
import re
import socket
from collections.abc import Generator
from datetime import UTC, datetime

import pytest
import structlog
from typer.testing import CliRunner, Result

from app.cli import app
from app.db.session import Database, transaction
from app.jobs.models import ScheduleState
from tests.conftest import run_in_thread

PROCESSES = pytest.mark.parametrize("process", ["worker", "scheduler"])


@pytest.fixture(autouse=True)
def _logging_restored() -> Generator[None]:
    handlers = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = handlers
    structlog.reset_defaults()


def run(*arguments: str) -> Result:
    result: Result = run_in_thread(CliRunner().invoke, app, arguments)
    return result


@PROCESSES
def test_help_shows_settings_and_exit_codes(process: str) -> None:
    shown = run(process, "--help").output

    assert re.search(r"until stopped\.", shown)
    assert "REDIS_URL" in shown
    assert "Exit codes: 0 " in shown


@PROCESSES
def test_without_redis_command_is_rejected(process: str) -> None:
    result = run(process)

    assert result.exit_code == 78
    assert result.stderr.startswith("REDIS_URL is not set: in development, the API process runs the jobs")
    assert "Example: redis://localhost" in result.stderr


@PROCESSES
def test_port_in_use_is_reported(process: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://localhost")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = run(process, "--port", str(port))

    assert result.exit_code == 1
    assert result.stderr == (
        f"Cannot listen on 127.0.0.1, port {port}: Address already in use.\nChoose another, for example --port 8111.\n"
    )


def test_unknown_host_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://localhost")
    result = run("worker", "--host", "no-such-host.invalid")

    assert result.exit_code == 1
    assert result.stderr.endswith("Check --host.\n")


@PROCESSES
def test_invalid_settings_are_reported_without_values(process: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "hunter2")
    result = run(process)

    assert result.exit_code == 78
    assert "REDIS_URL: must be a Redis URL" in result.stderr
    assert "hunter2" not in result.output


async def test_schedules_are_listed(empty_database: Database) -> None:
    before = run("scheduler", "list").output
    async with transaction(empty_database.write) as session:
        session.add(ScheduleState(name="purge_expired", handled_until=datetime(2030, 1, 31, 3, 17, tzinfo=UTC)))
    after = run("scheduler", "list").output

    assert before.splitlines()[0].split() == ["task", "cron", "missed", "last", "next"]
    assert re.search(r"^purge_expired +17 3 \* \* \* +once +never +\d{4}-\d\d-\d\d 03:17$", before, re.MULTILINE)
    assert re.search(r"^purge_expired .* 2030-01-31 03:17  2030-02-01 03:17$", after, re.MULTILINE)
