"""Doing jobs in the process that relays them, for development and tests: nothing to install, nothing to start."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import structlog

from app.outbox.models import OutboxEvent
from app.workers.runner import Runner

logger = structlog.get_logger(__name__)


class InProcess:
    """Does jobs at once, a few at a time."""

    def __init__(self, runner: Runner, jobs: int) -> None:
        """Do `jobs` at the same time."""
        self.runner = runner
        self.turns = asyncio.Semaphore(jobs)
        self.under_way: dict[UUID, asyncio.Task[None]] = {}
        self.stopping = False

    async def send(self, events: Sequence[OutboxEvent]) -> None:
        """Begin with them."""
        for event in events:
            if event.id not in self.under_way:
                self.under_way[event.id] = asyncio.create_task(self._run(event.id))

    async def holding(self, events: Sequence[OutboxEvent]) -> set[UUID]:
        """Tell which of them wait here."""
        return {event.id for event in events} & self.under_way.keys()

    async def _run(self, job_id: UUID) -> None:
        try:
            async with self.turns:
                if not self.stopping:
                    await self.runner.run(job_id)
        except Exception as error:  # noqa: BLE001 - most likely the database is away
            logger.warning("job not done: it will be sent again", job_id=str(job_id), error=type(error).__name__)
        finally:
            del self.under_way[job_id]

    @asynccontextmanager
    async def running(self, stop_seconds: float) -> AsyncGenerator[None]:
        """Give the jobs under way some time at the end of the block; then they are given back."""
        try:
            yield
        finally:
            self.stopping = True
            if tasks := set(self.under_way.values()):
                _, late = await asyncio.wait(tasks, timeout=stop_seconds)
                for task in late:
                    task.cancel()
                await asyncio.wait(tasks)
