"""The scheduler: each run is enqueued once, with several schedulers and with clock changes."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.testing import capture_logs

from app.db.base import utc_now
from app.db.idempotency import IdempotencyKey
from app.db.session import Database, transaction
from app.jobs.purge import purge_expired
from app.jobs.runner import JobRunner
from app.jobs.schedule import MissedRuns, Schedule, schedules
from app.jobs.scheduler import Scheduler, ScheduleState
from app.jobs.task import task
from app.outbox.background import run_in_background
from tests.jobs.conftest import enqueue, enqueue_and_mark_sent
from tests.outbox.conftest import outbox_rows
from tests.run_jobs import run_pending_jobs
from tests.waiting import wait_until

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


@task()
async def task_without_due(session: AsyncSession) -> None: ...


@task()
async def task_with_due(session: AsyncSession, *, due: datetime) -> None: ...


@task()
async def task_with_wrong_due_type(session: AsyncSession, *, due: int) -> None:
    """Cannot be enqueued: a timestamp is not an integer."""


def hourly_schedule(missed: MissedRuns, job: Any = task_with_due) -> Schedule:
    return Schedule(job, "0 * * * *", missed)


def create_scheduler(database: Database, *checked: Schedule) -> Scheduler:
    return Scheduler(database, checked)


async def scheduled_times(database: Database) -> list[datetime]:
    """Return the scheduled times of the pending jobs."""
    return [datetime.fromisoformat(json.loads(row.payload)["due"]) for row in await outbox_rows(database)]


async def handled_until(database: Database, name: str = "task_with_due") -> datetime:
    async with transaction(database.read_transaction) as session:
        return (await session.exec(select(ScheduleState.handled_until).where(ScheduleState.name == name))).one()


async def test_new_schedule_starts_with_next_run(empty_database: Database) -> None:
    scheduler = create_scheduler(empty_database, hourly_schedule(MissedRuns.EACH))

    await scheduler.run_once(NOON + SECOND)
    assert await outbox_rows(empty_database) == []
    await scheduler.run_once(NOON + HOUR)
    assert await scheduled_times(empty_database) == [NOON + HOUR]
    await scheduler.run_once(NOON + HOUR + SECOND)
    assert await scheduled_times(empty_database) == [NOON + HOUR]


async def test_run_once_returns_seconds_until_next_check(empty_database: Database) -> None:
    scheduler = create_scheduler(
        empty_database, hourly_schedule(MissedRuns.ONCE), Schedule(task_without_due, "17 3 * * *", MissedRuns.ONCE)
    )

    assert await scheduler.run_once(NOON + SECOND) == 15
    assert await scheduler.run_once(NOON + HOUR - 2 * SECOND) == 2


async def test_concurrent_schedulers_enqueue_each_run_once(empty_database: Database) -> None:
    both = [create_scheduler(empty_database, hourly_schedule(MissedRuns.EACH)) for _ in range(2)]
    for now in (NOON + SECOND, NOON + HOUR, NOON + HOUR + SECOND):
        await asyncio.gather(*(scheduler.run_once(now) for scheduler in both))

    assert await scheduled_times(empty_database) == [NOON + HOUR]


async def test_late_scheduler_changes_nothing(empty_database: Database) -> None:
    schedule = hourly_schedule(MissedRuns.EACH)
    scheduler = create_scheduler(empty_database, schedule)
    await scheduler._start_schedule(schedule, NOON)
    await scheduler._start_schedule(schedule, NOON + HOUR)
    assert await handled_until(empty_database) == NOON

    for _ in range(2):
        await scheduler._enqueue_due(schedule, NOON, NOON + HOUR)
    assert await scheduled_times(empty_database) == [NOON + HOUR]


@pytest.mark.parametrize(
    ("missed", "enqueued"),
    [
        (MissedRuns.SKIP, []),
        (MissedRuns.ONCE, [NOON + 3 * HOUR]),
        (MissedRuns.EACH, [NOON + HOUR, NOON + 2 * HOUR, NOON + 3 * HOUR]),
    ],
)
async def test_missed_runs_are_enqueued_as_configured(
    empty_database: Database, missed: MissedRuns, enqueued: list[datetime]
) -> None:
    scheduler = create_scheduler(empty_database, hourly_schedule(missed))
    await scheduler.run_once(NOON)
    with capture_logs() as lines:
        for _ in range(2):
            await scheduler.run_once(NOON + 3 * HOUR + 10 * MINUTE)

    assert await scheduled_times(empty_database) == enqueued
    assert await handled_until(empty_database) == NOON + 3 * HOUR
    [line] = lines
    assert line["runs"] == len(enqueued)


async def test_slightly_late_run_is_not_missed(empty_database: Database) -> None:
    scheduler = create_scheduler(empty_database, hourly_schedule(MissedRuns.SKIP))
    await scheduler.run_once(NOON)
    await scheduler.run_once(NOON + HOUR + 30 * SECOND)

    assert await scheduled_times(empty_database) == [NOON + HOUR]


@pytest.mark.parametrize(("missed", "count"), [(MissedRuns.EACH, 150), (MissedRuns.ONCE, 1)])
async def test_many_missed_runs_are_enqueued_in_parts(empty_database: Database, missed: MissedRuns, count: int) -> None:
    scheduler = create_scheduler(empty_database, hourly_schedule(missed))
    await scheduler.run_once(NOON)
    for _ in range(3):
        await scheduler.run_once(NOON + 150 * HOUR)

    assert await scheduled_times(empty_database) == [NOON + number * HOUR for number in range(151 - count, 151)]


@pytest.mark.parametrize(("missed", "count"), [(MissedRuns.SKIP, 1), (MissedRuns.ONCE, 1), (MissedRuns.EACH, 3)])
async def test_runs_of_a_task_are_not_concurrent(empty_database: Database, missed: MissedRuns, count: int) -> None:
    scheduler = create_scheduler(empty_database, hourly_schedule(missed))
    for number in range(4):
        await scheduler.run_once(NOON + number * HOUR)

    assert [row.key for row in await outbox_rows(empty_database)] == ["schedule task_with_due"] * count
    await run_pending_jobs(empty_database)
    await scheduler.run_once(NOON + 4 * HOUR)
    assert await scheduled_times(empty_database) == [NOON + 4 * HOUR]


async def test_task_without_due_argument_is_enqueued_without_arguments(empty_database: Database) -> None:
    scheduler = create_scheduler(empty_database, hourly_schedule(MissedRuns.ONCE, task_without_due))
    await scheduler.run_once(NOON)
    await scheduler.run_once(NOON + HOUR)

    assert [row.payload for row in await outbox_rows(empty_database)] == ["{}"]


async def test_clock_set_back_enqueues_no_run_twice(empty_database: Database) -> None:
    scheduler = create_scheduler(empty_database, hourly_schedule(MissedRuns.EACH))
    await scheduler.run_once(NOON)
    await scheduler.run_once(NOON + HOUR)
    with capture_logs() as lines:
        await scheduler.run_once(NOON + 10 * MINUTE)
    assert lines == [
        {
            "event": "scheduler: system clock went back",
            "schedule": "task_with_due",
            "seconds": 3000,
            "log_level": "warning",
        }
    ]

    await scheduler.run_once(NOON + HOUR)
    await scheduler.run_once(NOON + 2 * HOUR)
    assert await scheduled_times(empty_database) == [NOON + HOUR, NOON + 2 * HOUR]


async def test_clock_that_was_far_ahead_restarts_schedule(empty_database: Database) -> None:
    scheduler = create_scheduler(empty_database, hourly_schedule(MissedRuns.EACH))
    await scheduler.run_once(NOON + 1000 * HOUR)
    await scheduler.run_once(NOON)
    await scheduler.run_once(NOON + HOUR)

    assert await scheduled_times(empty_database) == [NOON + HOUR]


async def test_failing_schedule_is_retried_and_does_not_block_others(empty_database: Database) -> None:
    scheduler = create_scheduler(
        empty_database, hourly_schedule(MissedRuns.EACH, task_with_wrong_due_type), hourly_schedule(MissedRuns.EACH)
    )
    await scheduler.run_once(NOON)
    with capture_logs() as lines:
        await scheduler.run_once(NOON + HOUR)

    assert await handled_until(empty_database, "task_with_wrong_due_type") == NOON
    assert await scheduled_times(empty_database) == [NOON + HOUR]
    assert (lines[0]["event"], lines[0]["schedule"]) == ("scheduler: enqueueing failed", "task_with_wrong_due_type")
    assert lines[0]["error"].startswith("ValidationError: due: ")


async def test_scheduler_runs_until_stopped(empty_database: Database) -> None:
    failures = [ZeroDivisionError("by zero"), OperationalError("SELECT 1", {}, OSError("gone"))]
    check_times: list[datetime] = []

    class FailingAtFirstScheduler(Scheduler):
        async def run_once(self, now: datetime) -> float:
            if failures:
                raise failures.pop()
            check_times.append(now)
            return await super().run_once(now)

    scheduler = FailingAtFirstScheduler(
        empty_database, [Schedule(task_without_due, "* * * * *", MissedRuns.ONCE)], check_seconds=0.01
    )
    began = utc_now()
    with capture_logs() as lines:
        async with run_in_background(scheduler.run()):
            await wait_until(lambda: len(check_times) > 2)

    assert check_times == sorted(check_times)
    assert began <= check_times[0] <= utc_now()
    assert lines[0] == {
        "event": "scheduler: check failed, retrying",
        "error": "OperationalError: gone",
        "retry_in_seconds": 0.01,
        "log_level": "warning",
    }
    assert lines[1]["error"] == "ZeroDivisionError: by zero"
    assert (await handled_until(empty_database, "task_without_due")) >= check_times[0] - MINUTE


async def test_unavailable_database_ends_check(empty_database: Database) -> None:
    class FailingScheduler(Scheduler):
        async def _start_schedule(self, schedule: Schedule, now: datetime) -> None:
            raise OperationalError("SELECT 1", {}, OSError("gone"))

    with pytest.raises(OperationalError):
        await FailingScheduler(empty_database, [hourly_schedule(MissedRuns.EACH)]).run_once(NOON)


@pytest.fixture
async def database_with_expired_row(empty_database: Database) -> Database:
    """A database with an expired row and a valid one."""
    async with transaction(empty_database.write) as session:
        for name, hours in (("old", -1), ("new", 1)):
            session.add(IdempotencyKey(id=name, fingerprint="", expires_at=utc_now() + timedelta(hours=hours)))
    return empty_database


async def test_expired_rows_are_deleted_every_night(database_with_expired_row: Database) -> None:
    assert [(one.cron, one.missed) for one in schedules() if one.task is purge_expired] == [("17 3 * * *", "once")]
    await enqueue(database_with_expired_row, purge_expired)
    with capture_logs() as lines:
        await run_pending_jobs(database_with_expired_row)

    async with transaction(database_with_expired_row.read_transaction) as session:
        assert (await session.exec(select(IdempotencyKey.id))).all() == ["new"]
    assert {"event": "expired rows deleted", "count": 1, "log_level": "info"} in lines


async def test_deletion_of_expired_rows_ends_when_worker_stops(database_with_expired_row: Database) -> None:
    runner = JobRunner(database_with_expired_row)
    runner.stopping.set()
    job_id = await enqueue_and_mark_sent(database_with_expired_row, purge_expired)
    await runner.run(job_id)

    async with transaction(database_with_expired_row.read_transaction) as session:
        assert (await session.exec(select(IdempotencyKey.id))).all() == ["new"]
    [row] = await outbox_rows(database_with_expired_row)
    assert (row.name, row.attempts, row.leased_until) == ("purge_expired", 0, None)
