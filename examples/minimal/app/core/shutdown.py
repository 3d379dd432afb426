"""Knowing that the server is about to stop, so that answers without an end can end.

uvicorn waits for open answers before it runs the lifespan's exit, so a live feed
would hold it up until its grace time is over.
"""

import asyncio
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import FrameType

from fastapi import Request


@contextmanager
def noticing_shutdown(stopping: asyncio.Event) -> Generator[None]:
    """Set `stopping` when the process is told to stop, then do what it did before."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python delivers signals to the main thread only; nothing to watch here.
        return
    loop = asyncio.get_running_loop()
    watched = {s: h for s in (signal.SIGTERM, signal.SIGINT) if callable(h := signal.getsignal(s))}

    def notice(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stopping.set)
        watched[signal.Signals(number)](number, frame)

    for number in watched:
        signal.signal(number, notice)
    try:
        yield
    finally:
        for number, handler in watched.items():
            signal.signal(number, handler)


def goes_on(request: Request) -> bool:
    """Tell whether an answer without an end may go on: the server stays, and so does the sign-in, if there is one."""
    valid_until = request.scope.get("valid_until")
    return not request.app.state.stopping.is_set() and (valid_until is None or datetime.now(UTC) < valid_until)


async def pause(request: Request, seconds: float) -> None:
    """Wait, but not longer than the server stays."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await request.app.state.stopping.wait()
