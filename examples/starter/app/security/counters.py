"""Where attempts are counted: in the memory of the process, and not more than fit."""

import time

from limits.aio.storage import Storage


class BoundedMemory(Storage):
    """Counters that end by themselves.

    The memory storage of `limits` looks through all counters at each attempt, and keeps as
    many as somebody makes it keep.
    """

    STORAGE_SCHEME = ["async+bounded-memory"]  # noqa: RUF012 - `limits` reads it from the class
    base_exceptions = ValueError

    def __init__(self, most: int = 100_000) -> None:
        """Keep at most so many counters; the oldest give way."""
        super().__init__()
        self._most = most
        self._counters: dict[str, tuple[int, float]] = {}  # oldest first: count, end

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count, for `expiry` seconds from the first time on."""
        count, end = await self.get(key), await self.get_expiry(key)
        if count == 0:
            self._make_room()
            end = time.time() + expiry
        self._counters[key] = (count + amount, end)
        return count + amount

    def _make_room(self) -> None:
        """Forget what has ended, and if that is not enough a tenth of the rest."""
        if len(self._counters) < self._most:
            return
        now = time.time()
        going_on = [(key, counter) for key, counter in self._counters.items() if counter[1] > now]
        self._counters = dict(going_on if len(going_on) < self._most else going_on[self._most // 10 + 1 :])

    async def get(self, key: str) -> int:
        """Return the count."""
        count, end = self._counters.get(key, (0, 0.0))
        if end <= time.time():
            self._counters.pop(key, None)
            return 0
        return count

    async def get_expiry(self, key: str) -> float:
        """Return when the counter ends, in seconds since 1970."""
        return self._counters.get(key, (0, time.time()))[1]

    async def clear(self, key: str) -> None:
        """Forget a counter."""
        self._counters.pop(key, None)

    async def reset(self) -> int:
        """Forget all counters, and return how many there were."""
        count = len(self._counters)
        self._counters.clear()
        return count

    async def check(self) -> bool:
        """Tell that the memory is there."""
        return True
