"""The relay: brings what waits in the outbox to where it is done.

It may run in several processes at once, and may die at any moment; whoever takes a row
that was sent twice does it once.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager, suppress

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.db.session import Database
from app.outbox.background import going_on, to_its_end

BATCH = 500
LOOK_SECONDS = 1.0  # between two looks at what was sent, while there is nothing to send either
LONGEST_PAUSE_SECONDS = 5.0
PAUSE_PER_LOOK = 10  # an idle relay pauses so many times as long as its last look has taken
CLOCK_JUMP_SECONDS = 5.0

logger = structlog.get_logger(__name__)


class Unavailable(Exception):
    """A destination cannot be reached at present."""


class Relay(ABC):
    """Sends what is due at one destination, again and again."""

    def __init__(self, database: Database, poll_seconds: float) -> None:
        """Look into `database` so often, and whenever `wake` is set."""
        self.database = database
        self.poll_seconds = poll_seconds
        self.wake = asyncio.Event()
        self._clock = time.time() - time.monotonic()
        self._next_look = 0.0

    @abstractmethod
    async def run_once(self, look: bool = True) -> int:
        """Do what there is to do now, and return how many rows moved.

        Args:
            look: Whether to look after what was sent before, too.

        Raises:
            Unavailable: If the destination cannot be reached.
        """

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
                    async with asyncio.timeout(idle):  # before Python 3.12 `wait_for` may lose a cancellation
                        await self.wake.wait()
                self.wake.clear()

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
