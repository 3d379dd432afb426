"""The relay: brings what waits in the outbox to where it is done.

It may run in several processes at once, and may die at any moment. A row that was sent
twice is done once, because whoever does it finds the row taken or gone.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta
from typing import Protocol
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.db.session import Database, transaction
from app.outbox.background import going_on, to_its_end
from app.outbox.models import OutboxEvent
from app.outbox.repository import OutboxRepository

BATCH = 500
# So long a destination may keep something before it is asked whether it still has it.
SUSPECT_AFTER = timedelta(seconds=10)
LOOK_SECONDS = 1.0  # between two looks at what was sent, if the one before has found nothing
LONGEST_PAUSE_SECONDS = 5.0
CLOCK_JUMP_SECONDS = 5.0

logger = structlog.get_logger(__name__)


class Unavailable(Exception):
    """A destination cannot be reached at present."""


class Destination(Protocol):
    """Where rows are brought to."""

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


class Relay:
    """Sends what is due, and looks after what was sent."""

    def __init__(self, database: Database, destinations: Mapping[str, Destination], poll_seconds: float) -> None:
        """Bring rows to the destination that they name."""
        self.database = database
        self.destinations = destinations
        self.poll_seconds = poll_seconds
        self.wake = asyncio.Event()
        self._clock = time.time() - time.monotonic()
        self._next_look = 0.0

    async def run(self) -> None:
        """Relay until it is cancelled. It waits for a database or a destination that is away, and outlives any error."""
        pause = self.poll_seconds
        while True:
            self._watch_the_clock()
            look = time.monotonic() >= self._next_look
            try:
                moved = await to_its_end(self.run_once(look))
            except Exception as error:
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                trace = None if isinstance(error, Unavailable | SQLAlchemyError | OSError) else error
                logger.warning(
                    "outbox: not sent, waiting", error=_first_line(error), again_in_seconds=pause, exc_info=trace
                )
                await asyncio.sleep(pause)
                continue
            pause = self.poll_seconds
            if look and not moved:
                self._next_look = time.monotonic() + LOOK_SECONDS
            if not moved:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.wake.wait(), self.poll_seconds)
                self.wake.clear()

    async def run_once(self, look: bool = True) -> int:
        """Do what there is to do now, and return how many rows moved.

        Args:
            look: Whether to look after what was sent before, too.
        """
        async with transaction(self.database.readers) as session:
            outbox = OutboxRepository(session)
            due, left = await outbox.anything_due(), look and await outbox.anything_left(SUSPECT_AFTER)
        moved = await self._take_back() + await self._find_lost() if left else 0
        return moved + (await self._send() if due or moved else 0)

    async def _take_back(self) -> int:
        async with transaction(self.database.writers) as session:
            count = await OutboxRepository(session).take_back()
        if count:
            logger.warning("outbox: whoever worked on it did not end in time, sending again", count=count)
        return count

    async def _send(self) -> int:
        """Send a batch, after the commit that says so: if this process dies in between, `_find_lost` sees it."""
        async with transaction(self.database.writers) as session:
            outbox = OutboxRepository(session)
            events = await outbox.due(BATCH)
            await outbox.sent(events)
        for destination, share in _by_destination(events).items():
            try:
                await self.destinations[destination].send(share)
            except Unavailable:
                async with transaction(self.database.writers) as session:
                    await OutboxRepository(session).send_again(share)
                raise
        return len(events)

    async def _find_lost(self) -> int:
        """Send again what a destination no longer has, for example because Redis has lost its memory."""
        async with transaction(self.database.readers) as session:
            suspects = await OutboxRepository(session).suspects(SUSPECT_AFTER, BATCH)
        held = set[UUID]()
        for destination, share in _by_destination(suspects).items():
            held |= await self.destinations[destination].holding(share)
        async with transaction(self.database.writers) as session:
            outbox = OutboxRepository(session)
            await outbox.look_at_again(event for event in suspects if event.id in held)
            count = await outbox.send_again(event for event in suspects if event.id not in held)
        if count:
            logger.warning("outbox: the destination has lost it, sending again", count=count)
        return count

    def _watch_the_clock(self) -> None:
        """Say when the clock was set back: what is due at a certain time then waits that much longer."""
        clock = time.time() - time.monotonic()
        if clock < self._clock - CLOCK_JUMP_SECONDS:
            logger.warning("the clock went back: retries wait that much longer", seconds=round(self._clock - clock))
        self._clock = clock


def relaying(relay: Relay) -> AbstractAsyncContextManager[None]:
    """Run a relay while the block runs."""
    return going_on(relay.run())


def _by_destination(events: Sequence[OutboxEvent]) -> dict[str, list[OutboxEvent]]:
    shares: defaultdict[str, list[OutboxEvent]] = defaultdict(list)
    for event in events:
        shares[event.destination].append(event)
    return shares


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
