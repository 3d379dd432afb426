"""How often one may try: by account and by network address.

The counters live in the memory of the process: with several processes each counts for itself.
"""

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Annotated

from fastapi import Depends, Request
from limits import RateLimitItem
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from app.core.exceptions import TooManyRequestsError
from app.db.base import utc_now
from app.security.audit import audit, fingerprint
from app.security.principal import Device
from app.security.settings import SecuritySettings

CLIENT_LENGTH = 200


class RateLimits:
    """The counters of this process."""

    def __init__(self, settings: SecuritySettings) -> None:
        """Begin to count."""
        self.by_account = settings.account_limit
        self.by_address = settings.address_limit
        self.limiter = FixedWindowRateLimiter(MemoryStorage())

    async def count(self, action: str, device: Device, email: str | None = None) -> None:
        """Count an attempt.

        Args:
            action: What is tried; each action is counted for itself.
            device: Who tries.
            email: Whose account is tried, whether it exists or not.

        Raises:
            TooManyRequestsError: If it was one too many.
        """
        await self._hit(self.by_address, action, "address", _network(device.address))
        if email is not None:
            await self._hit(self.by_account, action, "account", fingerprint(email))

    async def forgive(self, action: str, email: str) -> None:
        """Forget the attempts on an account, since the right person has come through."""
        await self.limiter.clear(self.by_account, action, "account", fingerprint(email))

    async def _hit(self, limit: RateLimitItem, action: str, kind: str, whose: str) -> None:
        if not await self.limiter.hit(limit, action, kind, whose):
            audit(action, outcome="too_many_requests", counted_by=kind, whose=whose)
            window = await self.limiter.get_window_stats(limit, action, kind, whose)
            raise TooManyRequestsError(max(1, round(window.reset_time - utc_now().timestamp())))


def _network(address: str) -> str:
    """Return what one client can hardly leave: an IPv6 client has a whole /64 to itself."""
    try:
        return str(ip_network((address, 64), strict=False)) if isinstance(ip_address(address), IPv6Address) else address
    except ValueError:
        return address  # a socket file, or a test


async def get_device(request: Request) -> Device:
    """Tell where the request comes from, as far as proxies that are trusted say so."""
    address = request.client.host if request.client else ""
    return Device(request.headers.get("user-agent", "")[:CLIENT_LENGTH], address)


async def get_rate_limits(request: Request) -> RateLimits:
    """Return the counters of the app."""
    limits: RateLimits = request.app.state.rate_limits
    return limits


DeviceDep = Annotated[Device, Depends(get_device)]
RateLimitsDep = Annotated[RateLimits, Depends(get_rate_limits)]
