"""Rate limits for actions that check a password or send an email."""

from app.jwt.settings import JwtSettings
from app.security.audit import fingerprint
from app.security.principal import Device
from app.security.rate_limits import RateLimits, network_key


class AttemptLimiter:
    """Limits the attempts of one client.

    Each account has two limits: one per network, so that a single attacker cannot lock out the
    owner, and one for all networks together.
    """

    def __init__(self, limits: RateLimits, settings: JwtSettings, device: Device) -> None:
        self.limits = limits
        self.settings = settings
        self.device = device

    async def count(self, action: str, account: str | None = None) -> None:
        """Count an attempt.

        Args:
            action: Name of the action; each has a separate counter.
            account: The account: its email address, even if no such account exists, or its id.

        Raises:
            TooManyRequestsError: If a limit is exceeded.
        """
        await self.limits.count(action, self.device)
        if account is not None:
            key = fingerprint(account)
            await self.limits.hit(self.settings.account_limit, action, account=key, network=self._network)
            await self.limits.hit(self.settings.account_total_limit, action, account=key)

    async def record_success(self, action: str, account: str) -> None:
        """Undo the count of a successful attempt, and reset the attempts of its network on the account.

        Failures of the network on other accounts still count, because an attacker who guesses passwords may have an
        account too. The total of the account over all networks is not reset.
        """
        await self.limits.undo_count(action, self.device)
        await self.limits.reset_count(
            self.settings.account_limit, action, account=fingerprint(account), network=self._network
        )

    @property
    def _network(self) -> str:
        return network_key(self.device.address)
