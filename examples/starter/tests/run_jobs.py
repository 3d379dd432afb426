"""Runs jobs in tests, without worker processes and without waiting."""

from collections.abc import Sequence
from uuid import UUID

from sqlmodel import col, select

from app.db.session import Database, transaction
from app.jobs.relay import JobRelay
from app.jobs.runner import JobRunner
from app.outbox.models import OutboxMessage


class ImmediateDestination:
    """A destination that runs jobs immediately."""

    def __init__(self, runner: JobRunner) -> None:
        self.runner = runner

    async def send(self, rows: Sequence[OutboxMessage]) -> None:
        for row in rows:
            await self.runner.run(row.id)

    async def find_queued(self, rows: Sequence[OutboxMessage]) -> set[UUID]:
        return set()


async def run_pending_jobs(database: Database) -> None:
    """Run all due jobs, and those that they enqueue. Fails if one of them fails."""
    relay = JobRelay(database, ImmediateDestination(JobRunner(database)), poll_seconds=1)
    while await relay.run_once():
        pass
    async with transaction(database.read_transaction) as session:
        failed = await session.exec(
            select(OutboxMessage.name, OutboxMessage.last_error).where(col(OutboxMessage.last_error) != "")
        )
        assert not (failures := [f"{name}: {error}" for name, error in failed]), failures
