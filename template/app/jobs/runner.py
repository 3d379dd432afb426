"""Runs jobs: leases a job, executes its task, and completes it or schedules a retry."""

import asyncio
import random
import time
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import structlog
from structlog.contextvars import bound_contextvars

from app.db.base import utc_now
from app.db.session import Database, transaction
from app.jobs.repository import JobRepository
from app.jobs.task import Job, Task, UnknownTask, WorkerStopping, get_task
from app.outbox.background import finish_before_cancel
from app.outbox.errors import ExpectedError, describe_error, error_fields
from app.outbox.models import OutboxMessage

# Time after the time limit of a task to store the result, before another worker may lease the job.
LEASE_MARGIN = timedelta(seconds=5)
# Released jobs are not sent again before their message is acknowledged: until then they count as queued.
RELEASE_DELAY = timedelta(seconds=1)
MIN_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 1.0, 3600.0
# During a deployment, old workers receive tasks that they do not know. They leave them to new workers, for a
# limited time.
UNKNOWN_TASK_SECONDS, UNKNOWN_TASK_PAUSE, UNKNOWN_TASK_GIVE_UP_AFTER = 5.0, timedelta(seconds=15), timedelta(hours=1)

logger = structlog.get_logger(__name__)


class WorkerDied(ExpectedError):
    """The last attempt ended without a result, so its worker probably crashed."""


class JobTimeout(ExpectedError):
    """The task did not finish within its time limit."""


class LeaseLost(Exception):
    """The lease has expired, and another worker has leased the job."""


class JobRunner:
    """Runs jobs, and updates their rows.

    Attributes:
        running_jobs: The jobs that were started in the background, with their ids.
    """

    def __init__(self, database: Database, max_jobs: int = 8) -> None:
        """Run at most `max_jobs` of the jobs that are started in the background concurrently."""
        self.database = database
        self.stopping = asyncio.Event()
        self.running_jobs: dict[asyncio.Task[None], UUID] = {}
        self._slots = asyncio.Semaphore(max_jobs)

    def start(self, job_id: UUID) -> asyncio.Task[None]:
        """Start a job in the background. It waits while `max_jobs` others run, and ends without running after `stop`."""
        task = asyncio.create_task(self._run_unless_stopping(job_id))
        self.running_jobs[task] = job_id
        task.add_done_callback(self.running_jobs.pop)
        return task

    async def stop(self, seconds: float) -> None:
        """Start no more jobs, wait `seconds` for the running ones, then release those that are unfinished."""
        self.stopping.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*self.running_jobs, return_exceptions=True)

    async def _run_unless_stopping(self, job_id: UUID) -> None:
        async with self._slots:
            if self.stopping.is_set():
                return
            try:
                await self.run(job_id)
            except Exception as error:  # noqa: BLE001 - most likely, the database is unavailable
                logger.warning("job interrupted, it will be sent again", job_id=str(job_id), **error_fields(error))

    async def run(self, job_id: UUID) -> None:
        """Run a job, unless it is finished or running elsewhere.

        Raises:
            CancelledError: If it was cancelled. The job is released; if the cancellation interrupts a query of its row,
                the job is sent again when its lease expires.
        """
        row = await self._lease(job_id)
        if row is None:
            logger.debug("job skipped: finished or running elsewhere", job_id=str(job_id))
            return
        with bound_contextvars(**_log_context(row)):
            started = time.monotonic()
            try:
                await self._execute(row)
            except UnknownTask as error:
                await self._leave_to_newer_worker(row, error)
            except LeaseLost:
                logger.warning("job timed out, another worker has leased it")
            except WorkerStopping:
                await finish_before_cancel(self._release(row))
            except asyncio.CancelledError:
                await finish_before_cancel(self._release(row))
                raise
            except Exception as error:  # noqa: BLE001 - a task may raise anything
                await self._handle_failure(row, error)
            else:
                logger.info("job finished", duration_seconds=round(time.monotonic() - started, 3))

    async def _lease(self, job_id: UUID) -> OutboxMessage | None:
        """Count the attempt before it starts, so that a job that crashes its worker is not retried forever."""
        async with transaction(self.database.write) as session:
            row = await JobRepository(session).lock_sent_job(job_id)
            if row is None:
                return None
            row.attempts += 1
            row.leased_until = utc_now() + timedelta(seconds=_timeout_seconds(row.name)) + LEASE_MARGIN
        return row

    async def _execute(self, row: OutboxMessage) -> None:
        task = get_task(row.name)
        if row.attempts > task.max_attempts:
            raise WorkerDied("the last attempt ended without a result")
        try:
            async with asyncio.timeout(task.timeout_seconds) as limit:
                await (self._run_in_transaction if task.in_transaction else self._run_outside_transaction)(task, row)
        except TimeoutError:
            if limit.expired():
                raise JobTimeout(f"did not finish within {task.timeout_seconds:g} seconds") from None
            raise

    async def _run_in_transaction(self, task: Task[...], row: OutboxMessage) -> None:
        """Delete the job first: a second worker with the same job waits here, and then finds it finished."""
        async with transaction(self.database.write) as session:
            if not await JobRepository(session).complete(row):
                raise LeaseLost
            await task.function(session, **task.read(row.payload))

    async def _run_outside_transaction(self, task: Task[...], row: OutboxMessage) -> None:
        job = Job(row.id, row.attempts, self.database, self.stopping)
        await task.function(job, **task.read(row.payload))
        async with transaction(self.database.write) as session:
            in_time = await JobRepository(session).complete(row)
        if not in_time:
            raise LeaseLost

    async def _handle_failure(self, row: OutboxMessage, error: Exception) -> None:
        """Schedule a retry, or give up. The row stores the error without its traceback."""
        reason = describe_error(error)
        log = logger.bind(**error_fields(error))
        pause = backoff_seconds(row.attempts)
        async with transaction(self.database.write) as session:
            jobs = JobRepository(session)
            if row.attempts < get_task(row.name).max_attempts:
                log.warning("job failed", retry_in_seconds=round(pause, 1))
                await jobs.schedule_retry(row, utc_now() + timedelta(seconds=pause), reason)
            else:
                log.error("job failed permanently")
                await jobs.move_to_dead_letters(row, reason)

    async def _leave_to_newer_worker(self, row: OutboxMessage, error: UnknownTask) -> None:
        """Leave the job to a worker that knows the task. The attempt does not count."""
        async with transaction(self.database.write) as session:
            jobs = JobRepository(session)
            if row.due_at > utc_now() - UNKNOWN_TASK_GIVE_UP_AFTER:
                logger.warning("unknown task, job left to a newer worker", **error_fields(error))
                await jobs.release(row, utc_now() + UNKNOWN_TASK_PAUSE, describe_error(error))
            else:
                logger.error("job failed permanently", **error_fields(error))
                await jobs.move_to_dead_letters(row, describe_error(error))

    async def _release(self, row: OutboxMessage) -> None:
        logger.info("job released, worker is stopping")
        async with transaction(self.database.write) as session:
            await JobRepository(session).release(row, utc_now() + RELEASE_DELAY)


def backoff_seconds(attempts: int) -> float:
    """Return the seconds before the next attempt: exponential backoff with jitter."""
    longest = min(MIN_BACKOFF_SECONDS * 2 ** min(attempts - 1, 30), MAX_BACKOFF_SECONDS)
    return random.uniform(longest / 2, longest)  # noqa: S311 - for jitter, not for security


def _log_context(row: OutboxMessage) -> dict[str, object]:
    """Return the log fields of a job, including the request that enqueued it."""
    request = {"request_id": row.request_id} if row.request_id else {}
    return {"job_id": str(row.id), "task": row.name, "attempt": row.attempts, **request}


def _timeout_seconds(name: str) -> float:
    try:
        return get_task(name).timeout_seconds
    except UnknownTask:
        return UNKNOWN_TASK_SECONDS
