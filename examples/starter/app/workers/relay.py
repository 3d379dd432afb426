"""Bringing jobs to those who do them, and looking after what was sent.

A row stays until its job is done. A relay asks the destination what it still holds, and
takes back what a worker that has died had taken.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID

import structlog
from sqlalchemy.exc import IntegrityError

from app.db.session import Database, transaction
from app.outbox.models import OutboxEvent
from app.outbox.relay import BATCH, Relay, Unavailable
from app.workers.repository import JobRepository

# So long a destination may keep something before it is asked whether it still has it.
SUSPECT_AFTER = timedelta(seconds=10)

logger = structlog.get_logger(__name__)


class Destination(Protocol):
    """Where jobs are brought to."""

    async def send(self, events: Sequence[OutboxEvent]) -> None:
        """Take them over. What it already has, for the same attempt, it does not take twice.

        Raises:
            Unavailable: If it cannot be reached; all of them will come again.
        """

    async def holding(self, events: Sequence[OutboxEvent]) -> set[UUID]:
        """Tell which of them it still has.

        Raises:
            Unavailable: If it cannot be reached.
        """


class JobRelay(Relay):
    """Brings jobs to workers."""

    def __init__(self, database: Database, destination: Destination, poll_seconds: float) -> None:
        """Bring them to `destination`."""
        super().__init__(database, poll_seconds)
        self.destination = destination

    async def run_once(self, look: bool = True) -> int:
        """Send what is due, and look after what was sent before."""
        async with transaction(self.database.readers) as session:
            outbox = JobRepository(session)
            due, left = await outbox.anything_due(), look and await outbox.anything_left(SUSPECT_AFTER)
        moved = await self._take_back() + await self._find_lost() if left else 0
        return moved + (await self._send() if due or moved else 0)

    async def _take_back(self) -> int:
        async with transaction(self.database.writers) as session:
            count = await JobRepository(session).take_back()
        if count:
            logger.warning("outbox: whoever worked on it did not end in time, sending again", count=count)
        return count

    async def _send(self) -> int:
        """Send a batch, after the commit that says so: if this process dies in between, `_find_lost` sees it."""
        try:
            async with transaction(self.database.writers) as session:
                outbox = JobRepository(session)
                events = await outbox.due(BATCH)
                await outbox.sent(events)
        except IntegrityError:
            logger.debug("outbox: another relay has sent one of the same key, looking again")
            return 0
        try:
            await self.destination.send(events)
        except Unavailable:
            async with transaction(self.database.writers) as session:
                await JobRepository(session).send_again(events)
            raise
        return len(events)

    async def _find_lost(self) -> int:
        """Send again what a destination no longer has, for example because Redis has lost its memory."""
        async with transaction(self.database.readers) as session:
            suspects = await JobRepository(session).suspects(SUSPECT_AFTER, BATCH)
        held = await self.destination.holding(suspects)
        async with transaction(self.database.writers) as session:
            outbox = JobRepository(session)
            await outbox.look_at_again(event for event in suspects if event.id in held)
            count = await outbox.send_again(event for event in suspects if event.id not in held)
        if count:
            logger.warning("outbox: the destination has lost it, sending again", count=count)
        return count
