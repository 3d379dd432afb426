"""Detects that the server is stopping, so that endless responses can end.

uvicorn waits for open responses before it exits the lifespan, so an endless response would
delay the shutdown until the grace period is over.
"""

import asyncio
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import FrameType

from fastapi import Request

from app.core.runtime import Runtime, runtime_of


@contextmanager
def watch_shutdown_signals(runtime: Runtime) -> Generator[None]:
    """On SIGTERM and SIGINT, set `stopping` and call the previous signal handler, which stops the server.

    On SIGTERM, the process is first only marked as not ready, and stops after the shutdown delay.
    A second signal stops it immediately.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python delivers signals to the main thread only.
        return
    loop = asyncio.get_running_loop()
    previous = {s: handler for s in (signal.SIGTERM, signal.SIGINT) if callable(handler := signal.getsignal(s))}

    def stop(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(runtime.stopping.set)
        previous[signal.Signals(number)](number, frame)

    def handle(number: int, frame: FrameType | None) -> None:
        delay = runtime.settings.shutdown_delay_seconds
        if delay and number == signal.SIGTERM and not runtime.draining:
            loop.call_soon_threadsafe(loop.call_later, delay, stop, number, None)
        else:
            stop(number, frame)
        runtime.draining = True

    for number in previous:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def should_continue(request: Request) -> bool:
    """Return whether an endless response may continue: the server is running, and the credentials are valid."""
    valid_until = request.scope.get("valid_until")
    return not runtime_of(request).stopping.is_set() and (valid_until is None or datetime.now(UTC) < valid_until)


async def sleep_or_stop(request: Request, seconds: float) -> None:
    """Wait for `seconds`, or until the server stops."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await runtime_of(request).stopping.wait()
