"""Rate limits for sign-in and similar requests.

Each process counts separately, so the effective limit is multiplied by the number of processes.
"""

import time
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Annotated

from fastapi import Depends, Request
from limits import parse
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter

from app.core.exceptions import TooManyRequestsError
from app.core.runtime import runtime_of
from app.db.base import utc_now
from app.security.audit import audit
from app.security.principal import Device
from app.security.settings import SecuritySettings

CLIENT_LENGTH = 200


class BoundedMemoryStorage(Storage):
    """In-memory counters that expire, with a maximum number; the oldest are evicted.

    The memory storage of `limits` scans all counters at each attempt, and its size is unlimited,
    so an attacker could exhaust the memory.
    """

    STORAGE_SCHEME = ["async+bounded-memory"]  # noqa: RUF012 - `limits` reads it from the class
    base_exceptions = ValueError

    def __init__(self, capacity: int = 100_000) -> None:
        super().__init__()
        self._capacity = capacity
        self._counters: dict[str, tuple[int, float]] = {}  # oldest first: count, end

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Increment a counter, which expires `expiry` seconds after its first use."""
        count, end = await self.get(key), await self.get_expiry(key)
        if count == 0:
            if len(self._counters) >= self._capacity:
                self._evict()
            end = time.time() + expiry
        self._counters[key] = (count + amount, end)
        return count + amount

    async def decr(self, key: str) -> None:
        """Decrement a counter, if it is above zero."""
        count, end = self._counters.get(key, (0, 0.0))
        if count > 1:
            self._counters[key] = (count - 1, end)
        else:
            await self.clear(key)

    def _evict(self) -> None:
        """Scan all counters: evict the expired ones and, above 90% of the capacity, the oldest.

        The tenth that is free afterwards is used up before the next scan, so new keys do not cause a scan each.
        """
        now = time.time()
        live = [(key, counter) for key, counter in self._counters.items() if counter[1] > now]
        self._counters = dict(live[max(0, len(live) - self._capacity * 9 // 10) :])

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


class RateLimits:
    """The rate limits of this process."""

    def __init__(self, settings: SecuritySettings) -> None:
        self.by_address = settings.address_limit
        self.counters = BoundedMemoryStorage()
        self.limiter = FixedWindowRateLimiter(self.counters)

    async def count(self, action: str, device: Device) -> None:
        """Count an attempt from a network address. Each action has a separate counter.

        Raises:
            TooManyRequestsError: If the limit is exceeded.
        """
        await self.hit(self.by_address, action, network=network_key(device.address))

    async def undo_count(self, action: str, device: Device) -> None:
        """Undo the count of an attempt that succeeded, so that many users of one network can sign in.

        Attempts are counted before they are made. If only failures were counted afterwards, concurrent attempts could
        exceed the limit.
        """
        await self.counters.decr(parse(self.by_address).key_for(*_key(action, network=network_key(device.address))))

    async def hit(self, rate: str, action: str, *, account: str | None = None, network: str | None = None) -> None:
        """Count an attempt against a limit.

        Args:
            rate: The limit, such as `5/minute`.
            action: Name of the action.
            account: Fingerprint of the account. Attempts with the same account and network share a counter.
            network: Key of the network.

        Raises:
            TooManyRequestsError: If the limit is exceeded.
        """
        limit = parse(rate)
        key = _key(action, account, network)
        if not await self.limiter.hit(limit, *key):
            audit(action, outcome="too_many_requests", limit=rate, account=account, network=network)
            window = await self.limiter.get_window_stats(limit, *key)
            raise TooManyRequestsError(max(1, round(window.reset_time - utc_now().timestamp())))

    async def reset_count(self, rate: str, action: str, *, account: str, network: str | None = None) -> None:
        """Reset the counter of a limit."""
        await self.limiter.clear(parse(rate), *_key(action, account, network))


def _key(action: str, account: str | None = None, network: str | None = None) -> tuple[str, ...]:
    return action, account or "", network or ""


def network_key(address: str) -> str:
    """Return the key of a network: the address for IPv4, the /64 prefix for IPv6, since clients control a whole /64."""
    if not address:
        return "unknown"
    parsed = ip_address(address)
    if not isinstance(parsed, IPv6Address):
        return address
    return str(parsed.ipv4_mapped or ip_network((address, 64), strict=False))


async def get_device(request: Request) -> Device:
    """Return the device of the client. The address respects trusted proxies."""
    address = request.client.host if request.client else ""
    try:
        address = str(ip_address(address))
    except ValueError:
        address = ""  # a Unix socket, or an invalid value from a proxy
    return Device(request.headers.get("user-agent", "")[:CLIENT_LENGTH], address)


async def get_rate_limits(request: Request) -> RateLimits:
    """Return the rate limits of the app."""
    return runtime_of(request)[RateLimits]


DeviceDep = Annotated[Device, Depends(get_device)]
RateLimitsDep = Annotated[RateLimits, Depends(get_rate_limits)]
