"""Bounded in-memory storage for rate limits."""

import time

from limits.aio.storage import Storage


class BoundedMemoryStorage(Storage):
    """In-memory counters that expire, with a maximum number.

    The memory storage of `limits` scans all counters at each attempt, and its size is unlimited,
    so an attacker could exhaust the memory.
    """

    STORAGE_SCHEME = ["async+bounded-memory"]  # noqa: RUF012 - `limits` reads it from the class
    base_exceptions = ValueError

    def __init__(self, most: int = 100_000) -> None:
        """Set the maximum number of counters; the oldest are evicted."""
        super().__init__()
        self._capacity = most
        self._counters: dict[str, tuple[int, float]] = {}  # oldest first: count, end

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Increment a counter, which expires `expiry` seconds after its first use."""
        count, end = await self.get(key), await self.get_expiry(key)
        if count == 0:
            self._evict()
            end = time.time() + expiry
        self._counters[key] = (count + amount, end)
        return count + amount

    def _evict(self) -> None:
        """Evict expired counters and, if that is not enough, the oldest 10%."""
        if len(self._counters) < self._capacity:
            return
        now = time.time()
        going_on = [(key, counter) for key, counter in self._counters.items() if counter[1] > now]
        self._counters = dict(going_on if len(going_on) < self._capacity else going_on[self._capacity // 10 + 1 :])

    async def get(self, key: str) -> int:
        """Return the count."""
        count, end = self._counters.get(key, (0, 0.0))
        if end <= time.time():
            self._counters.pop(key, None)
            return 0
        return count

    async def get_expiry(self, key: str) -> float:
        """Return when the counter expires, as a Unix timestamp."""
        return self._counters.get(key, (0, time.time()))[1]

    async def clear(self, key: str) -> None:
        """Delete a counter."""
        self._counters.pop(key, None)

    async def reset(self) -> int:
        """Delete all counters, and return their number."""
        count = len(self._counters)
        self._counters.clear()
        return count

    async def check(self) -> bool:
        """Return True: the storage is always available."""
        return True
