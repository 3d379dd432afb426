"""Running a job: once, in the transaction that completes it, and again after a failure."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel, ValidationError
from sqlmodel import col, update
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.testing import capture_logs

from app.db.base import utc_now
from app.db.session import Database, transaction
from app.jobs.repository import JobRepository
from app.jobs.runner import MAX_BACKOFF_SECONDS, JobRunner, backoff_seconds
from app.jobs.task import Job, non_transactional_task, task
from app.modules.user.models import User
from app.outbox.errors import RetryLater
from app.outbox.models import OutboxMessage
from tests.jobs.conftest import enqueue, enqueue_and_mark_sent, lease_row, mark_due_as_sent, user_emails
from tests.outbox.conftest import outbox_rows, shift_timestamps

MAX_ATTEMPTS = 3


class TaskControl:
    """Controls the tasks below, and records their jobs."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.started = asyncio.Event()
        self.proceed = asyncio.Event()
        self.jobs: list[Job] = []


control = TaskControl()


@pytest.fixture(autouse=True)
async def _reset_control() -> None:
    control.__init__()
    control.proceed.set()


async def run_task_body() -> None:
    control.started.set()
    await control.proceed.wait()
    if control.error is not None:
        raise control.error


@task(max_attempts=MAX_ATTEMPTS)
async def create_user(session: AsyncSession, *, email: str) -> None:
    """Create a user, and then fail if `control.error` is set."""
    session.add(User(email=email, name="Ada"))
    await session.flush()
    await run_task_body()


@non_transactional_task(max_attempts=MAX_ATTEMPTS)
async def create_user_separately(job: Job, *, email: str) -> None:
    """Create a user in a separate transaction."""
    control.jobs.append(job)
    await run_task_body()
    async with transaction(job.database.write) as session:
        session.add(User(email=email, name="Ada"))


@task(max_attempts=MAX_ATTEMPTS, timeout_seconds=0.05)
async def never_finish(session: AsyncSession, *, email: str) -> None:
    """Create a user, and never end."""
    session.add(User(email=email, name="Ada"))
    await session.flush()
    await asyncio.Event().wait()


@task(max_attempts=MAX_ATTEMPTS)
async def enqueue_two_jobs(session: AsyncSession) -> None:
    """Enqueue further jobs."""
    create_user.enqueue(session, email="a@example.com")
    create_user.enqueue(session, email="b@example.com")
    await run_task_body()


both_task_kinds = pytest.mark.parametrize(
    "job", [create_user, create_user_separately], ids=["transactional", "non-transactional"]
)


@both_task_kinds
async def test_job_that_is_delivered_twice_runs_once(empty_database: Database, runner: JobRunner, job: Any) -> None:
    job_id = await enqueue_and_mark_sent(empty_database, job, email="ada@example.com")

    await runner.run(job_id)
    await runner.run(job_id)
    assert await user_emails(empty_database) == ["ada@example.com"]
    assert await outbox_rows(empty_database) == []


@both_task_kinds
async def test_concurrent_deliveries_run_job_once(empty_database: Database, job: Any) -> None:
    job_id = await enqueue_and_mark_sent(empty_database, job, email="ada@example.com")

    await asyncio.gather(*(JobRunner(empty_database).run(job_id) for _ in range(5)))
    assert await user_emails(empty_database) == ["ada@example.com"]
    assert await outbox_rows(empty_database) == []


async def test_job_that_was_not_sent_is_not_run(empty_database: Database, runner: JobRunner) -> None:
    job_id = await enqueue(empty_database, create_user, email="ada@example.com")

    await runner.run(job_id)
    await runner.run(uuid4())
    assert await user_emails(empty_database) == []
    assert len(await outbox_rows(empty_database)) == 1


async def test_failure_rolls_back_and_schedules_retry(empty_database: Database, runner: JobRunner) -> None:
    control.error = RuntimeError("no \x00 luck")
    job_id = await enqueue_and_mark_sent(empty_database, create_user, email="ada@example.com")
    began = utc_now()
    await runner.run(job_id)

    [row] = await outbox_rows(empty_database)
    assert await user_emails(empty_database) == []
    assert (row.attempts, row.sent_at, row.leased_until, row.dead_at) == (1, None, None, None)
    assert row.last_error == "RuntimeError: no  luck"
    assert row.next_attempt_at is not None
    assert began < row.next_attempt_at < utc_now() + timedelta(seconds=1)

    control.error = None
    await shift_timestamps(empty_database, 1)
    await mark_due_as_sent(empty_database)
    await runner.run(job_id)
    assert await user_emails(empty_database) == ["ada@example.com"]


async def test_jobs_enqueued_by_failed_job_are_discarded(empty_database: Database, runner: JobRunner) -> None:
    control.error = RuntimeError("no luck")
    job_id = await enqueue_and_mark_sent(empty_database, enqueue_two_jobs)
    await runner.run(job_id)
    assert [row.name for row in await outbox_rows(empty_database)] == ["enqueue_two_jobs"]

    control.error = None
    await shift_timestamps(empty_database, 1)
    await mark_due_as_sent(empty_database)
    await runner.run(job_id)
    assert [row.name for row in await outbox_rows(empty_database)] == ["create_user", "create_user"]


async def test_non_transactional_task_gets_its_job_and_holds_no_transaction(
    empty_database: Database, runner: JobRunner
) -> None:
    control.proceed.clear()
    job_id = await enqueue_and_mark_sent(empty_database, create_user_separately, email="ada@example.com")
    running = asyncio.create_task(runner.run(job_id))
    await control.started.wait()
    [taken] = await outbox_rows(empty_database)
    async with transaction(empty_database.write) as session:
        session.add(User(email="eve@example.com", name="Eve"))
    control.proceed.set()
    await running

    assert control.jobs == [Job(job_id, 1, empty_database)]
    assert taken.leased_until is not None
    assert await user_emails(empty_database) == ["ada@example.com", "eve@example.com"]


def test_backoff_grows_with_jitter() -> None:
    longest = [max(backoff_seconds(attempts) for _ in range(100)) for attempts in range(1, 6)]
    shortest = [min(backoff_seconds(attempts) for _ in range(100)) for attempts in range(1, 6)]

    for attempts, (least, most) in enumerate(zip(shortest, longest, strict=True)):
        assert 2**attempts / 2 <= least < most <= 2**attempts
    assert MAX_BACKOFF_SECONDS / 2 <= backoff_seconds(1_000_000) <= MAX_BACKOFF_SECONDS


@both_task_kinds
async def test_job_is_dead_letter_after_last_attempt(empty_database: Database, runner: JobRunner, job: Any) -> None:
    control.error = RuntimeError("no luck")
    job_id = await enqueue_and_mark_sent(empty_database, job, email="ada@example.com")
    with capture_logs() as lines:
        for _ in range(MAX_ATTEMPTS):
            await runner.run(job_id)
            await shift_timestamps(empty_database, 10)
            await mark_due_as_sent(empty_database)

    [row] = await outbox_rows(empty_database)
    assert row.dead_at is not None
    assert (row.attempts, row.leased_until, row.last_error) == (MAX_ATTEMPTS, None, "RuntimeError: no luck")
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("job failed", "warning"),
        ("job failed", "warning"),
        ("job failed permanently", "error"),
    ]
    assert "in run_task_body" in lines[-1]["exception"]
    await runner.run(job_id)
    assert await user_emails(empty_database) == [], "dead letters are not run"


async def test_job_is_cancelled_at_time_limit(empty_database: Database, runner: JobRunner) -> None:
    job_id = await enqueue_and_mark_sent(empty_database, never_finish, email="ada@example.com")
    with capture_logs() as lines:
        await runner.run(job_id)

    [row] = await outbox_rows(empty_database)
    assert row.last_error == "JobTimeout: did not finish within 0.05 seconds"
    assert "exception" not in lines[0]
    assert await user_emails(empty_database) == []


async def test_timeout_error_of_task_is_an_ordinary_error(empty_database: Database, runner: JobRunner) -> None:
    control.error = TimeoutError("the bank does not respond")
    await runner.run(await enqueue_and_mark_sent(empty_database, create_user, email="ada@example.com"))

    assert (await outbox_rows(empty_database))[0].last_error == "TimeoutError: the bank does not respond"


async def test_job_that_crashes_its_workers_is_dead_letter(empty_database: Database, runner: JobRunner) -> None:
    job_id = await enqueue_and_mark_sent(empty_database, create_user, email="ada@example.com")
    for _ in range(MAX_ATTEMPTS):  # each time the worker crashes, and the relay requeues the job when the lease expires
        assert await runner._lease(job_id)
        await shift_timestamps(empty_database, 60)
        async with transaction(empty_database.write) as session:
            assert await JobRepository(session).requeue_expired_leases() == 1
        await mark_due_as_sent(empty_database)

    with capture_logs() as lines:
        await runner.run(job_id)
    [row] = await outbox_rows(empty_database)
    assert row.dead_at is not None
    assert row.last_error == "WorkerDied: the last attempt ended without a result"
    assert [line["event"] for line in lines] == ["job failed permanently"]
    assert await user_emails(empty_database) == []


async def test_late_worker_has_no_effect(empty_database: Database) -> None:
    job_id = await enqueue_and_mark_sent(empty_database, create_user, email="ada@example.com")
    stale = await JobRunner(empty_database)._lease(job_id)

    class RunnerWithStaleLease(JobRunner):
        async def _lease(self, job_id: UUID) -> OutboxMessage | None:
            return stale

    await shift_timestamps(empty_database, 60)
    await JobRunner(empty_database).run(job_id)
    with capture_logs() as lines:
        await RunnerWithStaleLease(empty_database).run(job_id)
    assert [line["event"] for line in lines] == ["job timed out, another worker has leased it"]
    assert await user_emails(empty_database) == ["ada@example.com"]


async def test_late_non_transactional_task_does_not_complete_job_of_another_worker(empty_database: Database) -> None:
    control.proceed.clear()
    job_id = await enqueue_and_mark_sent(empty_database, create_user_separately, email="ada@example.com")
    slow = asyncio.create_task(JobRunner(empty_database).run(job_id))
    await control.started.wait()
    await shift_timestamps(empty_database, 60)
    [row] = await outbox_rows(empty_database)
    await lease_row(empty_database, row)
    with capture_logs() as lines:
        control.proceed.set()
        await slow

    assert [line["event"] for line in lines] == ["job timed out, another worker has leased it"]
    [row] = await outbox_rows(empty_database)
    assert row.attempts == 2


@both_task_kinds
async def test_cancelled_job_is_released(empty_database: Database, runner: JobRunner, job: Any) -> None:
    control.proceed.clear()
    job_id = await enqueue_and_mark_sent(empty_database, job, email="ada@example.com")
    running = asyncio.create_task(runner.run(job_id))
    await control.started.wait()
    cancelled_at = utc_now()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    [row] = await outbox_rows(empty_database)
    assert (row.attempts, row.sent_at, row.leased_until) == (0, None, None), "the attempt does not count"
    assert row.next_attempt_at is not None
    assert row.next_attempt_at >= cancelled_at + timedelta(seconds=1), "its message may still be in Redis"
    assert await user_emails(empty_database) == []
    control.proceed.set()
    await shift_timestamps(empty_database, 1)
    await mark_due_as_sent(empty_database)
    await runner.run(job_id)
    assert await user_emails(empty_database) == ["ada@example.com"]


async def restore_task_name(database: Database) -> None:
    """Restore the task's name, as if a newer worker knew it."""
    async with transaction(database.write) as session:
        await session.exec(
            update(OutboxMessage).where(col(OutboxMessage.name) == "removed_task").values(name="create_user")
        )


async def update_jobs(database: Database, **values: Any) -> None:
    async with transaction(database.write) as session:
        await session.exec(update(OutboxMessage).where(col(OutboxMessage.name) == "create_user").values(**values))


async def test_unknown_task_is_left_to_newer_workers(empty_database: Database, runner: JobRunner) -> None:
    job_id = await enqueue_and_mark_sent(empty_database, create_user, email="ada@example.com")
    await update_jobs(empty_database, name="removed_task")
    with capture_logs() as lines:
        for _ in range(20):
            await runner.run(job_id)
            await shift_timestamps(empty_database, 16)
            await mark_due_as_sent(empty_database)

    assert {line["event"] for line in lines} == {"unknown task, job left to a newer worker"}
    await restore_task_name(empty_database)
    await runner.run(job_id)
    assert await outbox_rows(empty_database) == [], "the attempts did not count"


async def test_removed_task_is_dead_letter(empty_database: Database, runner: JobRunner) -> None:
    job_id = await enqueue_and_mark_sent(empty_database, create_user, email="ada@example.com")
    await update_jobs(empty_database, name="removed_task", due_at=utc_now() - timedelta(hours=2))
    with capture_logs() as lines:
        await runner.run(job_id)

    [row] = await outbox_rows(empty_database)
    assert row.dead_at is not None
    assert row.last_error == "UnknownTask: no task is named removed_task"
    [line] = lines
    assert (line["event"], line["log_level"]) == ("job failed permanently", "error")
    assert "exception" not in line


async def test_outdated_arguments_are_logged_without_traceback(empty_database: Database, runner: JobRunner) -> None:
    job_id = await enqueue_and_mark_sent(empty_database, create_user, email="ada@example.com")
    await update_jobs(empty_database, payload='{"mail": "ada@example.com"}')
    with capture_logs() as lines:
        await runner.run(job_id)

    [row] = await outbox_rows(empty_database)
    assert (
        row.last_error
        == "InvalidArguments: ValidationError: email: Field required; mail: Extra inputs are not permitted"
    )
    [line] = lines
    assert line["error"] == row.last_error
    assert "exception" not in line
    assert "ada@example.com" not in str(line)


async def test_log_lines_identify_job_and_request(empty_database: Database, runner: JobRunner) -> None:
    with bound_contextvars(request_id="abc"):
        job_id = await enqueue_and_mark_sent(empty_database, create_user, email="ada@example.com")
    job_without_request = await enqueue_and_mark_sent(empty_database, create_user_separately, email="eve@example.com")
    control.error = RuntimeError("no luck")
    with capture_logs([merge_contextvars]) as lines:
        await runner.run(job_id)
        control.error = None
        await runner.run(job_without_request)

    common = ("request_id", "job_id", "task", "attempt")
    assert [tuple(line.get(name) for name in common) for line in lines] == [
        ("abc", str(job_id), "create_user", 1),
        (None, str(job_without_request), "create_user_separately", 1),
    ]


class Account(BaseModel):
    """A model that rejects values."""

    balance: int


async def test_errors_do_not_contain_rejected_values(empty_database: Database, runner: JobRunner) -> None:
    secret = "ada@example.com"
    with pytest.raises(ValidationError, match=secret) as refusal:
        Account.model_validate({"balance": secret})
    control.error = refusal.value
    with capture_logs() as lines:
        await runner.run(await enqueue_and_mark_sent(empty_database, create_user, email=secret))
        control.error = None
        await runner.run(await enqueue_and_mark_sent(empty_database, create_user, email=secret))
        await runner.run(await enqueue_and_mark_sent(empty_database, create_user, email=secret))

    [refused, _, twice] = lines
    assert refused["error"].startswith("ValidationError: balance: Input should be a valid integer")
    assert twice["error"].startswith(("IntegrityError: UNIQUE", "IntegrityError: duplicate key"))
    assert "in create_user" in twice["exception"]
    assert "The exception above led to this one:" in twice["exception"], "the driver's error is first"
    assert secret not in f"{lines} {[row.last_error for row in await outbox_rows(empty_database)]}"


async def test_retry_later_is_logged_without_traceback(empty_database: Database, runner: JobRunner) -> None:
    control.error = RetryLater("the bank is closed")
    with capture_logs() as lines:
        await runner.run(await enqueue_and_mark_sent(empty_database, create_user, email="ada@example.com"))

    [line] = lines
    assert line["error"] == "RetryLater: the bank is closed"
    assert "exception" not in line


async def test_error_without_message_is_stored_as_its_type(empty_database: Database, runner: JobRunner) -> None:
    control.error = ZeroDivisionError()
    await runner.run(await enqueue_and_mark_sent(empty_database, create_user, email="ada@example.com"))

    assert (await outbox_rows(empty_database))[0].last_error == "ZeroDivisionError"


async def test_only_first_line_of_error_is_stored(empty_database: Database, runner: JobRunner) -> None:
    control.error = RuntimeError("no luck\nwith ada@example.com")
    with capture_logs() as lines:
        await runner.run(await enqueue_and_mark_sent(empty_database, create_user, email="ada@example.com"))

    assert lines[0]["error"] == (await outbox_rows(empty_database))[0].last_error == "RuntimeError: no luck"
    assert "ada@example.com" not in str(lines)


async def test_long_error_is_truncated(empty_database: Database, runner: JobRunner) -> None:
    control.error = RuntimeError("x" * 5000)
    await runner.run(await enqueue_and_mark_sent(empty_database, create_user, email="ada@example.com"))

    assert len((await outbox_rows(empty_database))[0].last_error) == 1000
