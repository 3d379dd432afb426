"""The scheduler: calls functions every few seconds, in only one process, the leader.

    @ticking
    async def publish_due_todos(session: AsyncSession) -> bool: ...

For a short time, two processes may both consider themselves the leader. This does no harm as long as each function
works in one transaction and locks the rows it changes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.leader import Leadership, leading
from app.db.session import Database, transaction
from app.outbox.background import finish_before_cancel
from app.outbox.errors import describe_error, format_error_traceback

LOOK_SECONDS = 2.0

Tick = Callable[[AsyncSession], Awaitable[bool]]
T = TypeVar("T", bound=Tick)

logger = structlog.get_logger(__name__)

_ticking: list[Tick] = []


def ticking(function: T) -> T:
    """Call the decorated function every few seconds, in a transaction; immediately again if it returns True."""
    _ticking.append(function)
    return function


class Clock:
    """Calls functions every few seconds while it is the leader; otherwise tries to become the leader."""

    def __init__(
        self, database: Database, functions: Sequence[Tick] | None = None, look_seconds: float = LOOK_SECONDS
    ) -> None:
        """Call the given functions, or by default all that are decorated with `ticking`."""
        self.database = database
        self.functions = _ticking if functions is None else functions
        self.look_seconds = look_seconds

    async def run(self) -> None:
        """Run until cancelled. Retry while the database is unavailable."""
        while True:
            try:
                async with leading(self.database) as leadership:
                    if leadership is not None:
                        await self._lead(leadership)
            except (SQLAlchemyError, OSError) as error:
                logger.warning("scheduler: lost leadership, retrying", error=describe_error(error))
            await asyncio.sleep(self.look_seconds)

    async def _lead(self, leadership: Leadership) -> None:
        logger.info("scheduler: became leader")
        while True:
            await leadership.confirm()
            for function in self.functions:
                await finish_before_cancel(self._call(function))
            await asyncio.sleep(self.look_seconds)

    async def _call(self, function: Tick) -> None:
        more = True
        while more:
            try:
                async with transaction(self.database.write) as session:
                    more = await function(session)
            except (SQLAlchemyError, OSError):
                raise
            except Exception as error:  # noqa: BLE001 - one failing function must not stop the others
                logger.error(  # noqa: TRY400 - a normal traceback may contain personal data
                    "scheduler: function failed",
                    function=f"{function.__module__}.{function.__qualname__}",  # ty: ignore
                    error=describe_error(error),
                    exception=format_error_traceback(error),
                )
                return
