"""Runs one job: leases it, executes its task, and completes it or schedules a retry."""

import asyncio
import random
import time
from datetime import timedelta
from uuid import UUID

import structlog
from structlog.contextvars import bound_contextvars

from app.db.base import utc_now
from app.db.session import Database, transaction
from app.outbox.background import to_its_end
from app.outbox.failures import TryAgain, said, traced
from app.outbox.models import OutboxEvent
from app.workers.repository import JobRepository
from app.workers.task import Job, Task, UnknownTask, find

# Time after the time limit of a task to store the result, before another worker may get the job.
MARGIN = timedelta(seconds=5)
# Released jobs are not sent again before their message is acknowledged: until then they count as queued.
GIVEN_BACK_FOR = timedelta(seconds=1)
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 3600.0
# During a deployment, old workers receive tasks that they do not know. They leave them to new workers, for a
# limited time.
UNKNOWN_TASK_SECONDS, UNKNOWN_TASK_PAUSE, UNKNOWN_TASK_FOR = 5.0, timedelta(seconds=15), timedelta(hours=1)

logger = structlog.get_logger(__name__)


class WorkerDied(TryAgain):
    """Every attempt ended without a result, so its worker probably crashed."""


class TookTooLong(TryAgain):
    """The task did not finish within its time limit."""


class TakenOver(Exception):
    """The time limit has passed, and another worker has the job."""


class Runner:
    """Runs jobs, and updates their rows."""

    def __init__(self, database: Database) -> None:
        """Run jobs of `database`."""
        self.database = database

    async def run(self, job_id: UUID) -> None:
        """Run a job, unless it is finished or running elsewhere.

        Raises:
            CancelledError: If it was cancelled. The job is released; if the cancellation interrupts a query of its row,
            the job is sent again when its lease expires.
        """
        event = await self._take(job_id)
        if event is None:
            logger.debug("job skipped: finished or running elsewhere", job_id=str(job_id))
            return
        with bound_contextvars(**_context(event)):
            began = time.monotonic()
            try:
                await self._do(event)
            except UnknownTask as error:
                await self._leave(event, error)
            except TakenOver:
                logger.warning("job timed out and was taken over by another worker")
            except asyncio.CancelledError:
                await to_its_end(self._release(event))
                raise
            except Exception as error:  # noqa: BLE001 - a task may raise anything
                await self._failed(event, error)
            else:
                logger.info("job finished", seconds=round(time.monotonic() - began, 3))

    async def _take(self, job_id: UUID) -> OutboxEvent | None:
        """Count the attempt before it starts, so that a job that crashes its worker is not retried forever."""
        async with transaction(self.database.writers) as session:
            event = await JobRepository(session).find(job_id)
            if event is None:
                return None
            event.attempts += 1
            event.taken_until = utc_now() + timedelta(seconds=_seconds(event.name)) + MARGIN
        return event

    async def _do(self, event: OutboxEvent) -> None:
        task = find(event.name)
        if event.attempts > task.attempts:
            raise WorkerDied(f"the worker crashed in each of {task.attempts} attempts")
        try:
            async with asyncio.timeout(task.seconds) as limit:
                await (self._inside if task.in_transaction else self._outside)(task, event)
        except TimeoutError:
            if limit.expired():
                raise TookTooLong(f"did not finish within {task.seconds:g} seconds") from None
            raise

    async def _inside(self, task: Task[...], event: OutboxEvent) -> None:
        """Delete the job first: a second worker with the same job waits here, and then finds it finished."""
        async with transaction(self.database.writers) as session:
            if not await JobRepository(session).done(event):
                raise TakenOver
            await task.function(session, **task.read(event.payload))

    async def _outside(self, task: Task[...], event: OutboxEvent) -> None:
        await task.function(Job(event.id, event.attempts, self.database), **task.read(event.payload))
        async with transaction(self.database.writers) as session:
            in_time = await JobRepository(session).done(event)
        if not in_time:
            raise TakenOver

    async def _failed(self, event: OutboxEvent, error: Exception) -> None:
        """Schedule a retry, or give up. The row stores the error without its traceback."""
        why = said(error)
        log = logger.bind(error=why, **({} if isinstance(error, TryAgain) else {"exception": traced(error)}))
        pause = pause_after(event.attempts)
        async with transaction(self.database.writers) as session:
            outbox = JobRepository(session)
            if event.attempts < find(event.name).attempts:
                log.warning("job failed", again_in_seconds=round(pause, 1))
                await outbox.again(event, utc_now() + timedelta(seconds=pause), why)
            else:
                log.error("job failed permanently")
                await outbox.bury(event, why)

    async def _leave(self, event: OutboxEvent, error: UnknownTask) -> None:
        """Leave the job to a worker that knows the task. The attempt does not count."""
        async with transaction(self.database.writers) as session:
            outbox = JobRepository(session)
            if event.due_at > utc_now() - UNKNOWN_TASK_FOR:
                logger.warning("unknown task, job left to a newer worker", error=said(error))
                await outbox.release(event, utc_now() + UNKNOWN_TASK_PAUSE, said(error))
            else:
                logger.error("job failed permanently", error=said(error))
                await outbox.bury(event, said(error))

    async def _release(self, event: OutboxEvent) -> None:
        logger.info("job released, worker is stopping")
        async with transaction(self.database.writers) as session:
            await JobRepository(session).release(event, utc_now() + GIVEN_BACK_FOR)


def pause_after(attempts: int) -> float:
    """Return the seconds before the next attempt: exponential backoff with jitter."""
    longest = min(FIRST_PAUSE_SECONDS * 2 ** min(attempts - 1, 30), LONGEST_PAUSE_SECONDS)
    return random.uniform(longest / 2, longest)  # noqa: S311 - for jitter, not for security


def _context(event: OutboxEvent) -> dict[str, object]:
    """Return the log fields of a job, including the request that enqueued it."""
    asked = {"request_id": event.request_id} if event.request_id else {}
    return {"job_id": str(event.id), "task": event.name, "attempt": event.attempts, **asked}


def _seconds(name: str) -> float:
    try:
        return find(name).seconds
    except UnknownTask:
        return UNKNOWN_TASK_SECONDS
