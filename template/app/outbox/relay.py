"""The relay: brings what waits in the outbox to where it is done.

It may run in several processes at once, and may die at any moment. A row that was sent
twice is done once, because whoever does it finds the row taken or gone.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta
from typing import Protocol
from uuid import UUID

import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from app.db.session import Database, transaction
from app.outbox.background import going_on, to_its_end
from app.outbox.models import OutboxEvent
from app.outbox.relay_repository import RelayRepository

BATCH = 500
# So long a destination may keep something before it is asked whether it still has it.
SUSPECT_AFTER = timedelta(seconds=10)
LOOK_SECONDS = 1.0  # between two looks at what was sent, while there is nothing to send either
LONGEST_PAUSE_SECONDS = 5.0
PAUSE_PER_LOOK = 10  # an idle relay pauses so many times as long as its last look has taken
CLOCK_JUMP_SECONDS = 5.0

logger = structlog.get_logger(__name__)


class Unavailable(Exception):
    """A destination cannot be reached at present."""


class Destination(Protocol):
    """Where rows are brought to."""

    name: str  # as it stands in the rows

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
    """Sends what is due at one destination, and looks after what was sent."""

    def __init__(self, database: Database, destination: Destination, poll_seconds: float) -> None:
        """Bring the rows that name `destination` there; the others are for other relays."""
        self.database = database
        self.destination = destination
        self.poll_seconds = poll_seconds
        self.wake = asyncio.Event()
        self._clock = time.time() - time.monotonic()
        self._next_look = 0.0

    async def run(self) -> None:
        """Relay until it is cancelled. It waits for a database or a destination that is away, and outlives any error."""
        pause = self.poll_seconds
        while True:
            self._watch_the_clock()
            began = time.monotonic()
            look = began >= self._next_look
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
                # A look may take long, for example if very many rows wait behind one: it must not be all there is.
                idle = max(self.poll_seconds, PAUSE_PER_LOOK * (time.monotonic() - began))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.wake.wait(), idle)
                self.wake.clear()

    async def run_once(self, look: bool = True) -> int:
        """Do what there is to do now, and return how many rows moved.

        Args:
            look: Whether to look after what was sent before, too.
        """
        async with transaction(self.database.readers) as session:
            outbox = RelayRepository(session, self.destination.name)
            due, left = await outbox.anything_due(), look and await outbox.anything_left(SUSPECT_AFTER)
        moved = await self._take_back() + await self._find_lost() if left else 0
        return moved + (await self._send() if due or moved else 0)

    async def _take_back(self) -> int:
        async with transaction(self.database.writers) as session:
            count = await RelayRepository(session, self.destination.name).take_back()
        if count:
            logger.warning("outbox: whoever worked on it did not end in time, sending again", count=count)
        return count

    async def _send(self) -> int:
        """Send a batch, after the commit that says so: if this process dies in between, `_find_lost` sees it."""
        try:
            async with transaction(self.database.writers) as session:
                outbox = RelayRepository(session, self.destination.name)
                events = await outbox.due(BATCH)
                await outbox.sent(events)
        except IntegrityError:
            logger.debug("outbox: another relay has sent one of the same key, looking again")
            return 0
        try:
            await self.destination.send(events)
        except Unavailable:
            async with transaction(self.database.writers) as session:
                await RelayRepository(session, self.destination.name).send_again(events)
            raise
        return len(events)

    async def _find_lost(self) -> int:
        """Send again what a destination no longer has, for example because Redis has lost its memory."""
        async with transaction(self.database.readers) as session:
            suspects = await RelayRepository(session, self.destination.name).suspects(SUSPECT_AFTER, BATCH)
        held = await self.destination.holding(suspects)
        async with transaction(self.database.writers) as session:
            outbox = RelayRepository(session, self.destination.name)
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


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
