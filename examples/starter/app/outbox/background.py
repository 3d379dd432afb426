"""Background tasks of a process, and their orderly end."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import structlog

from app.outbox.errors import error_fields

FINISH_TIMEOUT_SECONDS = 5.0
MAX_RETRY_SECONDS = 5.0

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
    if not task.cancelled() and isinstance(error := task.exception(), Exception):
        logger.critical("background task stopped unexpectedly, restart this process", **error_fields(error))


async def run_repeatedly(
    step: Callable[[], Coroutine[Any, Any, float]],
    *,
    failure_event: str,
    retry_seconds: float,
    wake: asyncio.Event | None = None,
) -> None:
    """Run `step` again and again until cancelled. Every error is logged and retried.

    Args:
        step: Does the work, and returns the seconds to pause before the next step.
        failure_event: Log event of an error.
        retry_seconds: Pause before the first retry. It doubles with each failure, up to `MAX_RETRY_SECONDS`.
        wake: Ends a pause early, but not the pause before a retry.
    """
    wake = wake or asyncio.Event()
    retry_in = retry_seconds = min(retry_seconds, MAX_RETRY_SECONDS)
    while True:
        try:
            pause = await finish_before_cancel(step())
        except Exception as error:  # noqa: BLE001 - the loop survives any error
            fields = error_fields(error)
            log = logger.error if "exception" in fields else logger.warning
            log(failure_event, retry_in_seconds=retry_in, **fields)
            await asyncio.sleep(retry_in)
            retry_in = min(2 * retry_in, MAX_RETRY_SECONDS)
        else:
            retry_in = retry_seconds
            await wait_for_event(wake, pause)
            wake.clear()


async def wait_for_event(event: asyncio.Event, seconds: float) -> None:
    """Wait until `event` is set, at most for some seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):  # before Python 3.12, `wait_for` could lose a cancellation
            await event.wait()


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
