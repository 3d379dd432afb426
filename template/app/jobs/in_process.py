"""Runs jobs in the process of the relay, for development and tests without Redis."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import structlog

from app.jobs.runner import JobRunner
from app.outbox.models import OutboxMessage

logger = structlog.get_logger(__name__)


class InProcessDestination:
    """A destination that runs jobs immediately, at most `jobs` at a time."""

    def __init__(self, runner: JobRunner, jobs: int) -> None:
        self.runner = runner
        self.slots = asyncio.Semaphore(jobs)
        self.running_jobs: dict[UUID, asyncio.Task[None]] = {}

    async def send(self, rows: Sequence[OutboxMessage]) -> None:
        """Start the jobs that are not running yet."""
        for row in rows:
            if row.id not in self.running_jobs:
                self.running_jobs[row.id] = asyncio.create_task(self._run(row.id))

    async def find_queued(self, rows: Sequence[OutboxMessage]) -> set[UUID]:
        """Return the ids of those that are queued or running."""
        return {row.id for row in rows} & self.running_jobs.keys()

    async def _run(self, job_id: UUID) -> None:
        try:
            async with self.slots:
                if not self.runner.stopping.is_set():
                    await self.runner.run(job_id)
        except Exception as error:  # noqa: BLE001 - most likely, the database is unavailable
            logger.warning("job interrupted, it will be sent again", job_id=str(job_id), error=type(error).__name__)
        finally:
            del self.running_jobs[job_id]

    @asynccontextmanager
    async def running(self, stop_seconds: float) -> AsyncGenerator[None]:
        """At the end of the block, wait `stop_seconds` for running jobs, then release them."""
        try:
            yield
        finally:
            self.runner.stopping.set()
            if tasks := set(self.running_jobs.values()):
                _, late = await asyncio.wait(tasks, timeout=stop_seconds)
                for task in late:
                    task.cancel()
                await asyncio.wait(tasks)
