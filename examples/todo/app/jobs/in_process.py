"""Runs jobs in the process of the relay, for development and tests without Redis."""

from collections.abc import Sequence
from uuid import UUID

from app.jobs.runner import JobRunner
from app.outbox.models import OutboxMessage


class InProcessDestination:
    """A destination that starts jobs immediately."""

    def __init__(self, runner: JobRunner) -> None:
        self.runner = runner

    async def send(self, rows: Sequence[OutboxMessage]) -> None:
        """Start the jobs that are not running yet."""
        queued = await self.find_queued(rows)
        for row in rows:
            if row.id not in queued:
                self.runner.start(row.id)

    async def find_queued(self, rows: Sequence[OutboxMessage]) -> set[UUID]:
        """Return the ids of those of `rows` that are running, or wait for others to finish."""
        return {row.id for row in rows} & {*self.runner.running_jobs.values()}
