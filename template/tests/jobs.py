"""Runs jobs in tests, without worker processes and without waiting."""

from collections.abc import Sequence
from uuid import UUID

from sqlmodel import col, select

from app.db.session import Database, transaction
from app.outbox.models import OutboxEvent
from app.workers.relay import JobRelay
from app.workers.runner import Runner


class AtOnce:
    """A destination that runs jobs immediately."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner

    async def send(self, events: Sequence[OutboxEvent]) -> None:
        for event in events:
            await self.runner.run(event.id)

    async def holding(self, events: Sequence[OutboxEvent]) -> set[UUID]:
        return set()


async def drain(database: Database) -> None:
    """Run all due jobs, and those that they enqueue. Fails if one of them fails."""
    relay = JobRelay(database, AtOnce(Runner(database)), poll_seconds=1)
    while await relay.run_once():
        pass
    async with transaction(database.readers) as session:
        failed = await session.exec(
            select(OutboxEvent.name, OutboxEvent.last_error).where(col(OutboxEvent.last_error) != "")
        )
        assert not (failures := [f"{name}: {error}" for name, error in failed]), failures
