"""Base class of loops that process pending outbox messages, such as relays, which send them to a destination.

Several processes may run such a loop concurrently, and each may crash at any time. A message may
be sent twice, so receivers must process a duplicate only once.
"""

import asyncio
import time
from abc import ABC, abstractmethod

import structlog

from app.db.session import Database
from app.outbox.background import run_repeatedly
from app.outbox.errors import ExpectedError

IDLE_FACTOR = 10  # an idle relay pauses this many times as long as its last poll took
CLOCK_JUMP_SECONDS = 5.0

logger = structlog.get_logger(__name__)


class DestinationUnavailable(ExpectedError):
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
        """Relay until cancelled. Every error is logged and retried."""
        await run_repeatedly(
            self._poll, failure_event=self.failure_event, retry_seconds=self.poll_seconds, wake=self.wake
        )

    async def _poll(self) -> float:
        """Poll once, and return the seconds to pause: none as long as there are messages."""
        self._warn_about_clock_jump()
        started = time.monotonic()
        if await self.run_once():
            return 0
        # Pause in proportion to the poll, so that slow ones, for example behind one key, do not use all the time.
        return max(self.poll_seconds, IDLE_FACTOR * (time.monotonic() - started))

    def _warn_about_clock_jump(self) -> None:
        """Log a warning when the system clock was set back: scheduled retries are then delayed."""
        clock = time.time() - time.monotonic()
        if clock < self._clock - CLOCK_JUMP_SECONDS:
            logger.warning("system clock went back, retries are delayed", seconds=round(self._clock - clock))
        self._clock = clock
