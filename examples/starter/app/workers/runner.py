"""Doing one job: take it, do it, and end it; or say when it is tried again."""

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

# After the time limit of a task, to write down how it ended, before the job is given to somebody else.
MARGIN = timedelta(seconds=5)
# What is given back is not sent again before its message is acknowledged: the relay would think it is there.
GIVEN_BACK_FOR = timedelta(seconds=1)
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 3600.0
# While versions are deployed, old workers meet tasks that they do not know yet. They leave them to the new ones, but
# not for ever.
UNKNOWN_TASK_SECONDS, UNKNOWN_TASK_PAUSE, UNKNOWN_TASK_FOR = 5.0, timedelta(seconds=15), timedelta(hours=1)

logger = structlog.get_logger(__name__)


class WorkerDied(TryAgain):
    """Whoever had the job ended without a word, at each attempt."""


class TookTooLong(TryAgain):
    """The task did not end within its time limit."""


class TakenOver(Exception):
    """The time limit has passed, and somebody else has the job now."""


class Runner:
    """Does jobs, and keeps their rows up to date."""

    def __init__(self, database: Database) -> None:
        """Work on `database`."""
        self.database = database

    async def run(self, job_id: UUID) -> None:
        """Do a job, if it is still to be done.

        Raises:
            CancelledError: If it was cancelled. The job is given back; or it waits for the end of its time, if that
                came while its row was being read or written.
        """
        event = await self._take(job_id)
        if event is None:
            logger.debug("job is done, or somebody else does it", job_id=str(job_id))
            return
        with bound_contextvars(**_context(event)):
            began = time.monotonic()
            try:
                await self._do(event)
            except UnknownTask as error:
                await self._leave(event, error)
            except TakenOver:
                logger.warning("job took too long: somebody else has it now")
            except asyncio.CancelledError:
                await to_its_end(self._release(event))
                raise
            except Exception as error:  # noqa: BLE001 - a task may raise anything
                await self._failed(event, error)
            else:
                logger.info("job done", seconds=round(time.monotonic() - began, 3))

    async def _take(self, job_id: UUID) -> OutboxEvent | None:
        """Count the attempt before it begins, so that a job that kills its worker does not do so for ever."""
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
            raise WorkerDied(f"no worker has lived through it in {task.attempts} attempts")
        try:
            async with asyncio.timeout(task.seconds) as limit:
                await (self._inside if task.in_transaction else self._outside)(task, event)
        except TimeoutError:
            if limit.expired():
                raise TookTooLong(f"it did not end within {task.seconds:g} seconds") from None
            raise

    async def _inside(self, task: Task[...], event: OutboxEvent) -> None:
        """End the job first: of two who do the same, the second waits here, and finds it done."""
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
        """Say when it is tried again, or give up. What stands in the row names the error and not its place."""
        why = said(error)
        log = logger.bind(error=why, **({} if isinstance(error, TryAgain) else {"exception": traced(error)}))
        pause = pause_after(event.attempts)
        async with transaction(self.database.writers) as session:
            outbox = JobRepository(session)
            if event.attempts < find(event.name).attempts:
                log.warning("job failed", again_in_seconds=round(pause, 1))
                await outbox.again(event, utc_now() + timedelta(seconds=pause), why)
            else:
                log.error("job failed for the last time")
                await outbox.bury(event, why)

    async def _leave(self, event: OutboxEvent, error: UnknownTask) -> None:
        """Leave it to a worker that knows the task; the attempt does not count."""
        async with transaction(self.database.writers) as session:
            outbox = JobRepository(session)
            if event.due_at > utc_now() - UNKNOWN_TASK_FOR:
                logger.warning("job left to a newer worker", error=said(error))
                await outbox.release(event, utc_now() + UNKNOWN_TASK_PAUSE, said(error))
            else:
                logger.error("job failed for the last time", error=said(error))
                await outbox.bury(event, said(error))

    async def _release(self, event: OutboxEvent) -> None:
        logger.info("job given back: this process stops")
        async with transaction(self.database.writers) as session:
            await JobRepository(session).release(event, utc_now() + GIVEN_BACK_FOR)


def pause_after(attempts: int) -> float:
    """Return the seconds before the next attempt: twice as long each time, and never the same for many at once."""
    longest = min(FIRST_PAUSE_SECONDS * 2 ** min(attempts - 1, 30), LONGEST_PAUSE_SECONDS)
    return random.uniform(longest / 2, longest)  # noqa: S311 - to spread, not to keep a secret


def _context(event: OutboxEvent) -> dict[str, object]:
    """Return what every log line of a job says, so that it is found with the request that asked for it."""
    asked = {"request_id": event.request_id} if event.request_id else {}
    return {"job_id": str(event.id), "task": event.name, "attempt": event.attempts, **asked}


def _seconds(name: str) -> float:
    try:
        return find(name).seconds
    except UnknownTask:
        return UNKNOWN_TASK_SECONDS
