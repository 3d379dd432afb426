"""Base class of relays, which send pending outbox messages to a destination.

Several processes may run a relay concurrently, and each may crash at any time. A message may
be sent twice, so receivers must process a duplicate only once.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from contextlib import suppress

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.db.session import Database
from app.outbox.background import finish_before_cancel
from app.outbox.errors import describe_error

JOBS_PER_POLL = 500
MAX_PAUSE_SECONDS = 5.0
IDLE_FACTOR = 10  # an idle relay pauses this many times as long as its last poll took
CLOCK_JUMP_SECONDS = 5.0

logger = structlog.get_logger(__name__)


class DestinationUnavailable(Exception):
    """A destination is temporarily unavailable."""


class OutboxPoller(ABC):
    """Polls the outbox and sends due messages to one destination.

    Attributes:
        failure_event: Log event of an error in `run_once`.
    """

    failure_event = "outbox: sending failed, retrying"

    def __init__(self, database: Database, poll_seconds: float) -> None:
        """Poll `database` every `poll_seconds`, and whenever `wake` is set."""
        self.database = database
        self.poll_seconds = poll_seconds
        self.wake = asyncio.Event()
        self._clock = time.time() - time.monotonic()

    @abstractmethod
    async def run_once(self) -> int:
        """Send the messages that are due, and return the number of rows that changed their state.

        Raises:
            DestinationUnavailable: If the destination cannot be reached.
        """

    async def run(self) -> None:
        """Relay until cancelled. Every error is logged and retried, with growing pauses."""
        pause = self.poll_seconds
        while True:
            self._warn_about_clock_jump()
            started = time.monotonic()
            try:
                changed = await finish_before_cancel(self.run_once())
            except Exception as error:
                pause = min(2 * pause, MAX_PAUSE_SECONDS)
                expected = isinstance(error, DestinationUnavailable | SQLAlchemyError | OSError)
                logger.warning(
                    self.failure_event,
                    error=describe_error(error),
                    retry_in_seconds=pause,
                    exc_info=None if expected else error,
                )
                await asyncio.sleep(pause)
                continue
            pause = self.poll_seconds
            if not changed:
                # A poll can be slow, for example if many rows wait behind one key: it must not use all the time.
                idle = max(self.poll_seconds, IDLE_FACTOR * (time.monotonic() - started))
                with suppress(TimeoutError):
                    async with asyncio.timeout(idle):  # before Python 3.12, `wait_for` could lose a cancellation
                        await self.wake.wait()
                self.wake.clear()

    def _warn_about_clock_jump(self) -> None:
        """Log a warning when the system clock was set back: scheduled retries are then delayed."""
        clock = time.time() - time.monotonic()
        if clock < self._clock - CLOCK_JUMP_SECONDS:
            logger.warning("system clock went back, retries are delayed", seconds=round(self._clock - clock))
        self._clock = clock
