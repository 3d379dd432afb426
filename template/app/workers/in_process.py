"""Runs jobs in the process of the relay, for development and tests without Redis."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import structlog

from app.outbox.models import OutboxEvent
from app.workers.runner import Runner

logger = structlog.get_logger(__name__)


class InProcess:
    """A destination that runs jobs immediately, a limited number at a time."""

    def __init__(self, runner: Runner, jobs: int) -> None:
        """Run at most `jobs` concurrently."""
        self.runner = runner
        self.turns = asyncio.Semaphore(jobs)
        self.under_way: dict[UUID, asyncio.Task[None]] = {}
        self.stopping = False

    async def send(self, events: Sequence[OutboxEvent]) -> None:
        """Start the jobs that are not running yet."""
        for event in events:
            if event.id not in self.under_way:
                self.under_way[event.id] = asyncio.create_task(self._run(event.id))

    async def holding(self, events: Sequence[OutboxEvent]) -> set[UUID]:
        """Return the ids of those that are queued or running."""
        return {event.id for event in events} & self.under_way.keys()

    async def _run(self, job_id: UUID) -> None:
        try:
            async with self.turns:
                if not self.stopping:
                    await self.runner.run(job_id)
        except Exception as error:  # noqa: BLE001 - most likely, the database is unavailable
            logger.warning("job interrupted, it will be sent again", job_id=str(job_id), error=type(error).__name__)
        finally:
            del self.under_way[job_id]

    @asynccontextmanager
    async def running(self, stop_seconds: float) -> AsyncGenerator[None]:
        """At the end of the block, wait `stop_seconds` for running jobs, then release them."""
        try:
            yield
        finally:
            self.stopping = True
            if tasks := set(self.under_way.values()):
                _, late = await asyncio.wait(tasks, timeout=stop_seconds)
                for task in late:
                    task.cancel()
                await asyncio.wait(tasks)
