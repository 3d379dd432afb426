"""The clock: what is looked after every few seconds, by the one process that leads.

    @ticking
    async def notice_due_todos(session: AsyncSession) -> bool: ...

Two that believe to lead for a moment do no harm as long as such a function takes care of
itself: it works in one transaction, and locks what it changes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.leader import Leadership, leading
from app.db.session import Database, transaction
from app.outbox.background import to_its_end
from app.outbox.failures import said, traced

LOOK_SECONDS = 2.0

Tick = Callable[[AsyncSession], Awaitable[bool]]
T = TypeVar("T", bound=Tick)

logger = structlog.get_logger(__name__)

_ticking: list[Tick] = []


def ticking(function: T) -> T:
    """Call the decorated function every few seconds, in a transaction; again at once if it returns that there is more."""
    _ticking.append(function)
    return function


class Clock:
    """Calls functions every few seconds while it leads, and tries to lead while it does not."""

    def __init__(
        self, database: Database, functions: Sequence[Tick] | None = None, look_seconds: float = LOOK_SECONDS
    ) -> None:
        """Call all that are `ticking`, or some."""
        self.database = database
        self.functions = _ticking if functions is None else functions
        self.look_seconds = look_seconds

    async def run(self) -> None:
        """Go on until it is cancelled; a database that is away is waited for."""
        while True:
            try:
                async with leading(self.database) as leadership:
                    if leadership is not None:
                        await self._lead(leadership)
            except (SQLAlchemyError, OSError) as error:
                logger.warning("clock: no longer leading, trying again", error=said(error))
            await asyncio.sleep(self.look_seconds)

    async def _lead(self, leadership: Leadership) -> None:
        logger.info("clock: leading")
        while True:
            await leadership.confirm()
            for function in self.functions:
                await to_its_end(self._call(function))
            await asyncio.sleep(self.look_seconds)

    async def _call(self, function: Tick) -> None:
        more = True
        while more:
            try:
                async with transaction(self.database.writers) as session:
                    more = await function(session)
            except (SQLAlchemyError, OSError):
                raise
            except Exception as error:  # noqa: BLE001 - the others are called all the same
                logger.error(  # noqa: TRY400 - the traceback must not repeat values
                    "clock: failed",
                    function=f"{function.__module__}.{function.__qualname__}",  # ty: ignore
                    error=said(error),
                    exception=traced(error),
                )
                return
