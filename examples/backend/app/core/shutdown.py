"""Knowing that the server is about to stop, so that answers without an end can end.

uvicorn waits for open answers before it runs the lifespan's exit, so a live feed
would hold it up until its grace time is over.
"""

import asyncio
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType


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
