"""What goes on in the background, until told to stop."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog

END_SECONDS = 5.0

logger = structlog.get_logger(__name__)

T = TypeVar("T")


@asynccontextmanager
async def going_on(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Let `work` go on while the block runs, and cancel it at its end. It is to outlive its own errors."""
    task = asyncio.create_task(work)
    task.add_done_callback(_complain)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def _complain(task: asyncio.Task[None]) -> None:
    """Do not let it end unheard of: whoever awaits it does so at the end of the process."""
    if not task.cancelled() and (error := task.exception()):
        logger.critical("background work has ended: restart this process", exc_info=error)


async def to_its_end(work: Coroutine[Any, Any, T], timeout_seconds: float = END_SECONDS) -> T:
    """Await `work`; if that is cancelled, let `work` end first, within a few seconds.

    So a stop does not come between a commit and what belongs to it, and cuts off no statement.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=timeout_seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
