"""Background tasks of a process, and their orderly end."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog

FINISH_TIMEOUT_SECONDS = 5.0

logger = structlog.get_logger(__name__)

T = TypeVar("T")


@asynccontextmanager
async def run_in_background(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Run `work` in the background of the block, and cancel it at the end. It must handle its own errors."""
    task = asyncio.create_task(work)
    task.add_done_callback(_log_unexpected_end)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def _log_unexpected_end(task: asyncio.Task[None]) -> None:
    """Log the error immediately: the task is awaited only when the process stops."""
    if not task.cancelled() and (error := task.exception()):
        logger.critical("background task stopped unexpectedly, restart this process", exc_info=error)


async def finish_before_cancel(work: Coroutine[Any, Any, T], timeout_seconds: float = FINISH_TIMEOUT_SECONDS) -> T:
    """Await `work`. On cancellation, give it `timeout_seconds` to finish first.

    So a stop does not interrupt a statement, or come between a commit and the step that follows it.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=timeout_seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
