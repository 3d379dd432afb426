"""What goes on in the background, until told to stop."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

END_SECONDS = 5.0

T = TypeVar("T")


@asynccontextmanager
async def going_on(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Let `work` go on while the block runs, and cancel it at its end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Await `work`; if that is cancelled, let `work` end first, within a few seconds.

    So a stop does not come between a commit and what belongs to it, and cuts off no statement.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=END_SECONDS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
