"""Rate limits per account."""

from contextlib import suppress

import pytest

from app.core.config import load
from app.core.exceptions import TooManyRequestsError
from app.jwt.attempts import AttemptLimiter
from app.jwt.settings import JwtSettings
from app.security.principal import Device
from app.security.rate_limits import RateLimits
from app.security.settings import SecuritySettings

EMAIL = "ada@example.com"


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> RateLimits:
    monkeypatch.setenv("JWT_ACCOUNT_LIMIT", "2/minute")
    monkeypatch.setenv("JWT_ACCOUNT_TOTAL_LIMIT", "5/minute")
    return RateLimits(load(SecuritySettings))


def limiter(limits: RateLimits, address: str) -> AttemptLimiter:
    return AttemptLimiter(limits, load(JwtSettings), Device("test", address))


async def test_attacker_cannot_lock_out_the_owner(limits: RateLimits) -> None:
    for _ in range(2):
        await limiter(limits, "192.0.2.1").count("login", EMAIL)
    for spelled in (EMAIL, f" {EMAIL.upper()}"):
        with pytest.raises(TooManyRequestsError):
            await limiter(limits, "192.0.2.1").count("login", spelled)

    await limiter(limits, "192.0.2.2").count("login", EMAIL)
    await limiter(limits, "192.0.2.1").count("login", "bob@example.com")
    await limiter(limits, "192.0.2.1").count("register", EMAIL)


async def test_attempts_per_account_are_limited_across_networks(limits: RateLimits) -> None:
    for n in range(5):
        await limiter(limits, f"192.0.2.{n}").count("login", EMAIL)
    with pytest.raises(TooManyRequestsError):
        await limiter(limits, "192.0.2.9").count("login", EMAIL)


async def test_attempts_are_reset_after_success(limits: RateLimits) -> None:
    for _ in range(2):
        await limiter(limits, "192.0.2.1").count("login", EMAIL)
        await limiter(limits, "192.0.2.1").record_success("login", EMAIL)
    await limiter(limits, "192.0.2.1").count("login", EMAIL)


async def test_successful_attempts_do_not_count_for_their_network(
    limits: RateLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "by_address", "3/minute")
    for n in range(10):
        await limiter(limits, "192.0.2.1").count("login", f"{n}@example.com")
        await limiter(limits, "192.0.2.1").record_success("login", f"{n}@example.com")


async def test_success_does_not_reset_failures_of_other_accounts(
    limits: RateLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sign-ins to the attacker's account reset neither the limit of the network nor that of another account."""
    monkeypatch.setattr(limits, "by_address", "3/minute")
    for n in range(3):
        await limiter(limits, "192.0.2.1").count("login", f"{n}@example.com")
        with suppress(TooManyRequestsError):
            await limiter(limits, "192.0.2.1").count("login", "attacker@example.com")
            await limiter(limits, "192.0.2.1").record_success("login", "attacker@example.com")

    with pytest.raises(TooManyRequestsError):
        await limiter(limits, "192.0.2.1").count("login", EMAIL)
