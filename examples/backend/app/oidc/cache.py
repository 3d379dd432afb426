"""Cache for data that is fetched from a provider on first use."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

from app.core.exceptions import DomainError

T = TypeVar("T")

RETRY_SECONDS = 5  # An unavailable provider is requested at most this often, regardless of the load.
STALE_SECONDS = 3600  # Until then, values up to this age are used.


class Cached(Generic[T]):
    """A value that is fetched on first use, once for all concurrent callers."""

    def __init__(self, fetch: Callable[[], Awaitable[T]]) -> None:
        self._fetch = fetch
        self._cached: tuple[T, float] | None = None
        self._last_failure: tuple[DomainError, float] | None = None
        self._pending_fetch: asyncio.Task[T] | None = None

    async def get(self, max_age: float) -> T:
        """Return the value; fetch it again if it is older than `max_age` seconds.

        If fetching fails, a stale value is returned, if there is one.

        Raises:
            DomainError: The error of the fetch, if there is no value to fall back to.
        """
        if self._cached is not None and monotonic() - self._cached[1] <= max_age:
            return self._cached[0]
        if self._pending_fetch is None or self._pending_fetch.done():
            self._pending_fetch = asyncio.create_task(self._renew())
        return await asyncio.shield(self._pending_fetch)  # A cancelled caller must not cancel the fetch for the others.

    async def _renew(self) -> T:
        if self._last_failure is not None and monotonic() - self._last_failure[1] <= RETRY_SECONDS:
            return self._fall_back(self._last_failure[0])
        try:
            value = await self._fetch()
        except DomainError as error:
            self._last_failure = error, monotonic()
            return self._fall_back(error)
        self._cached = value, monotonic()
        return value

    def _fall_back(self, error: DomainError) -> T:
        if self._cached is None or monotonic() - self._cached[1] > STALE_SECONDS:
            raise error.with_traceback(None)
        return self._cached[0]
