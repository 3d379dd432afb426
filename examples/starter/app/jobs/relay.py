"""Relays jobs to workers, and requeues lost ones.

A row is kept until its job is finished. The relay asks the destination which jobs it still
has, and requeues the others. It also requeues jobs of crashed workers.
"""

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID

import structlog
from sqlalchemy.exc import IntegrityError

from app.db.session import Database, transaction
from app.jobs.repository import JobRepository
from app.outbox.models import OutboxMessage
from app.outbox.poller import DestinationUnavailable, OutboxPoller

JOBS_PER_POLL = 500
# A job that was sent longer ago and that no worker has leased may be lost: the relay asks the destination.
MAY_BE_LOST_AFTER = timedelta(seconds=10)
RECHECK_SECONDS = 1.0  # between two checks that find no lost jobs

logger = structlog.get_logger(__name__)


class Destination(Protocol):
    """Receives jobs to run: Redis, or this process."""

    async def send(self, rows: Sequence[OutboxMessage]) -> None:
        """Accept jobs, except those that it already has for the same attempt.

        Raises:
            DestinationUnavailable: If it cannot be reached. All jobs will be sent again.
        """

    async def find_queued(self, rows: Sequence[OutboxMessage]) -> set[UUID]:
        """Return the ids of those of `rows` that it still has, queued or running.

        Raises:
            DestinationUnavailable: If it cannot be reached.
        """


class JobRelay(OutboxPoller):
    """Sends jobs to a destination."""

    def __init__(
        self,
        database: Database,
        destination: Destination,
        poll_seconds: float,
        recheck_seconds: float = RECHECK_SECONDS,
    ) -> None:
        super().__init__(database, poll_seconds)
        self.destination = destination
        self.recheck_seconds = recheck_seconds
        self._next_check = 0.0

    async def run_once(self) -> int:
        """Send the jobs that are due, and requeue lost ones."""
        check = time.monotonic() >= self._next_check
        async with transaction(self.database.read_transaction) as session:
            jobs = JobRepository(session)
            due = await jobs.has_due_jobs()
            may_need_requeue = check and await jobs.may_need_requeue(MAY_BE_LOST_AFTER)
        requeued = await self._requeue_expired_leases() + await self._requeue_lost() if may_need_requeue else 0
        if check and not requeued:
            self._next_check = time.monotonic() + self.recheck_seconds
        return requeued + (await self._send() if due or requeued else 0)

    async def _requeue_expired_leases(self) -> int:
        async with transaction(self.database.write) as session:
            count = await JobRepository(session).requeue_expired_leases()
        if count:
            logger.warning("jobs: lease expired, requeued", count=count)
        return count

    async def _send(self) -> int:
        """Commit a batch as sent, then send it. `_requeue_lost` handles a crash in between."""
        try:
            async with transaction(self.database.write) as session:
                jobs = JobRepository(session)
                rows = await jobs.lock_due_jobs(JOBS_PER_POLL)
                await jobs.mark_sent(rows)
        except IntegrityError:
            logger.debug("jobs: another relay sent a job with the same key")
            return 0
        try:
            await self.destination.send(rows)
        except DestinationUnavailable:
            async with transaction(self.database.write) as session:
                await JobRepository(session).requeue(rows)
            raise
        return len(rows)

    async def _requeue_lost(self) -> int:
        """Requeue jobs that the destination no longer has, for example because Redis lost its data."""
        async with transaction(self.database.read_transaction) as session:
            rows = await JobRepository(session).unleased_jobs(MAY_BE_LOST_AFTER, JOBS_PER_POLL)
        queued = await self.destination.find_queued(rows)
        async with transaction(self.database.write) as session:
            jobs = JobRepository(session)
            await jobs.mark_still_queued(row for row in rows if row.id in queued)
            count = await jobs.requeue(row for row in rows if row.id not in queued)
        if count:
            logger.warning("jobs: lost by the destination, requeued", count=count)
        return count
