"""The `jobs` commands."""

import re
from datetime import UTC, datetime

import pytest

from app.db.session import Database, transaction
from app.jobs.scheduler import ScheduleState
from tests.command_line import run_command


def test_invalid_settings_are_reported_without_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "hunter2")
    result = run_command("run", "worker")

    assert result.exit_code == 78
    assert "REDIS_URL: must be a Redis URL" in result.stderr
    assert "hunter2" not in result.output


async def test_schedules_are_listed(empty_database: Database) -> None:
    before = run_command("jobs", "schedule").output
    async with transaction(empty_database.write) as session:
        session.add(ScheduleState(name="purge_expired", handled_until=datetime(2030, 1, 31, 3, 17, tzinfo=UTC)))
    after = run_command("jobs", "schedule").output

    assert before.splitlines()[0].split() == ["task", "cron", "missed", "handled", "until", "next"]
    assert re.search(r"^purge_expired +17 3 \* \* \* +once +never +\d{4}-\d\d-\d\d 03:17$", before, re.MULTILINE)
    assert re.search(r"^purge_expired .* 2030-01-31 03:17  2030-02-01 03:17$", after, re.MULTILINE)
