"""How often one may try what needs a password, or sends a mail."""

from app.jwt.settings import JwtSettings
from app.security.audit import fingerprint
from app.security.principal import Device
from app.security.rate_limits import RateLimits, network


class Attempts:
    """The attempts of one client.

    An account has two limits: one for each network, so that a single stranger cannot keep its
    owner out, and one for all of them together.
    """

    def __init__(self, limits: RateLimits, settings: JwtSettings, device: Device) -> None:
        """Count for a client."""
        self.limits = limits
        self.settings = settings
        self.device = device

    async def count(self, action: str, account: str | None = None) -> None:
        """Count an attempt.

        Args:
            action: What is tried; each action is counted for itself.
            account: Whose account is tried: its address, whether it exists or not, or its id.

        Raises:
            TooManyRequestsError: If it was one too many.
        """
        await self.limits.count(action, self.device)
        if account is not None:
            whose = fingerprint(account)
            await self.limits.hit(self.settings.account_limit, action, "account", f"{whose} {self._network}")
            await self.limits.hit(self.settings.account_total_limit, action, "account", whose)

    async def forgive(self, action: str, account: str) -> None:
        """Forget this client's attempts on an account, since the right person has come through."""
        whose = f"{fingerprint(account)} {self._network}"
        await self.limits.forgive(self.settings.account_limit, action, "account", whose)

    @property
    def _network(self) -> str:
        return network(self.device.address)
