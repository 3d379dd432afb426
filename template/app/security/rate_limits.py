"""Rate limits for sign-in and similar requests.

Each process counts separately, so the effective limit is multiplied by the number of processes.
"""

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Annotated

from fastapi import Depends, Request
from limits import parse
from limits.aio.strategies import FixedWindowRateLimiter

from app.core.exceptions import TooManyRequestsError
from app.core.runtime import runtime_of
from app.db.base import utc_now
from app.security.audit import audit
from app.security.counters import BoundedMemoryStorage
from app.security.principal import Device
from app.security.settings import SecuritySettings

CLIENT_LENGTH = 200


class RateLimits:
    """The rate limits of this process."""

    def __init__(self, settings: SecuritySettings) -> None:
        """Create the counters."""
        self.by_address = settings.address_limit
        self.limiter = FixedWindowRateLimiter(BoundedMemoryStorage())

    async def count(self, action: str, device: Device) -> None:
        """Count an attempt from a network address.

        Args:
            action: Name of the action; each has a separate counter.
            device: The device of the client.

        Raises:
            TooManyRequestsError: If the limit is exceeded.
        """
        await self.hit(self.by_address, action, "address", network_key(device.address))

    async def hit(self, rate: str, action: str, kind: str, whose: str) -> None:
        """Count an attempt against a limit.

        Raises:
            TooManyRequestsError: If the limit is exceeded.
        """
        limit = parse(rate)
        if not await self.limiter.hit(limit, action, kind, whose):
            audit(action, outcome="too_many_requests", counted_by=kind, whose=whose)
            window = await self.limiter.get_window_stats(limit, action, kind, whose)
            raise TooManyRequestsError(max(1, round(window.reset_time - utc_now().timestamp())))

    async def reset_count(self, rate: str, action: str, kind: str, whose: str) -> None:
        """Reset the counter of a limit."""
        await self.limiter.clear(parse(rate), action, kind, whose)


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
