"""What is fetched from a provider when it is first needed, and kept for a while."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")


class Cached(Generic[T]):
    """A value that is fetched once for all who wait for it. A failure is not kept."""

    def __init__(self, fetch: Callable[[], Awaitable[T]]) -> None:
        """Fetch nothing yet."""
        self._fetch = fetch
        self._kept: tuple[T, float] | None = None
        self._flight: asyncio.Task[T] | None = None

    async def get(self, max_age: float) -> T:
        """Return the value, fetched anew if it is older than `max_age` seconds."""
        if self._kept is not None and monotonic() - self._kept[1] <= max_age:
            return self._kept[0]
        if self._flight is None or self._flight.done():
            self._flight = asyncio.create_task(self._renew())
        return await asyncio.shield(self._flight)  # One who gives up does not take it from the others.

    async def _renew(self) -> T:
        value = await self._fetch()
        self._kept = value, monotonic()
        return value
