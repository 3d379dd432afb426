"""How often one may try.

Each process counts for itself: with several, one may try as many times as often.
"""

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Annotated

from fastapi import Depends, Request
from limits import parse
from limits.aio.strategies import FixedWindowRateLimiter

from app.core.exceptions import TooManyRequestsError
from app.db.base import utc_now
from app.security.audit import audit
from app.security.counters import BoundedMemory
from app.security.principal import Device
from app.security.settings import SecuritySettings

CLIENT_LENGTH = 200


class RateLimits:
    """The counters of this process."""

    def __init__(self, settings: SecuritySettings) -> None:
        """Begin to count."""
        self.by_address = settings.address_limit
        self.limiter = FixedWindowRateLimiter(BoundedMemory())

    async def count(self, action: str, device: Device) -> None:
        """Count an attempt from a network address.

        Args:
            action: What is tried; each action is counted for itself.
            device: Who tries.

        Raises:
            TooManyRequestsError: If it was one too many.
        """
        await self.hit(self.by_address, action, "address", network(device.address))

    async def hit(self, rate: str, action: str, kind: str, whose: str) -> None:
        """Count an attempt against a limit.

        Raises:
            TooManyRequestsError: If it was one too many.
        """
        limit = parse(rate)
        if not await self.limiter.hit(limit, action, kind, whose):
            audit(action, outcome="too_many_requests", counted_by=kind, whose=whose)
            window = await self.limiter.get_window_stats(limit, action, kind, whose)
            raise TooManyRequestsError(max(1, round(window.reset_time - utc_now().timestamp())))

    async def forgive(self, rate: str, action: str, kind: str, whose: str) -> None:
        """Forget what was counted against a limit."""
        await self.limiter.clear(parse(rate), action, kind, whose)


def network(address: str) -> str:
    """Return what one client can hardly leave: an IPv6 client has a whole /64 to itself."""
    if not address:
        return "unknown"
    parsed = ip_address(address)
    if not isinstance(parsed, IPv6Address):
        return address
    return str(parsed.ipv4_mapped or ip_network((address, 64), strict=False))


async def get_device(request: Request) -> Device:
    """Tell where the request comes from, as far as proxies that are trusted say so."""
    address = request.client.host if request.client else ""
    try:
        address = str(ip_address(address))
    except ValueError:
        address = ""  # a socket file, or a proxy that says anything
    return Device(request.headers.get("user-agent", "")[:CLIENT_LENGTH], address)


async def get_rate_limits(request: Request) -> RateLimits:
    """Return the counters of the app."""
    limits: RateLimits = request.app.state.rate_limits
    return limits


DeviceDep = Annotated[Device, Depends(get_device)]
RateLimitsDep = Annotated[RateLimits, Depends(get_rate_limits)]
