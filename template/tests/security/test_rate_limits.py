"""Counting attempts."""

import pytest

from app.core.config import ConfigurationError, load
from app.core.exceptions import TooManyRequestsError
from app.security.principal import Device
from app.security.rate_limits import RateLimits
from app.security.settings import SecuritySettings


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> RateLimits:
    monkeypatch.setenv("AUTH_ACCOUNT_LIMIT", "2/minute")
    monkeypatch.setenv("AUTH_ADDRESS_LIMIT", "3/minute")
    return RateLimits(load(SecuritySettings))


def at(address: str) -> Device:
    return Device(client="test", address=address)


async def test_attempts_on_an_account_are_counted_wherever_they_come_from(limits: RateLimits) -> None:
    for n in range(2):
        await limits.count("login", at(f"192.0.2.{n}"), "ada@example.com")
    with pytest.raises(TooManyRequestsError) as caught:
        await limits.count("login", at("192.0.2.9"), " ADA@example.com")

    assert 1 <= caught.value.retry_after_seconds <= 60
    await limits.count("login", at("192.0.2.9"), "bob@example.com")
    await limits.count("register", at("192.0.2.9"), "ada@example.com")


async def test_the_right_person_does_not_pay_for_the_attempts_of_others(limits: RateLimits) -> None:
    for n in range(6):
        await limits.count("login", at(f"192.0.2.{n}"), "ada@example.com")
        await limits.forgive("login", "ada@example.com")


@pytest.mark.parametrize(
    ("addresses", "other"),
    [
        (["192.0.2.1"] * 3, "192.0.2.2"),
        (["2001:db8::1", "2001:db8::2", "2001:db8::ffff:3"], "2001:db8:0:1::1"),
        (["unix"] * 3, "192.0.2.1"),
    ],
)
async def test_attempts_from_an_address_are_counted_whatever_the_account(
    limits: RateLimits, addresses: list[str], other: str
) -> None:
    for address in addresses:
        await limits.count("login", at(address))
    with pytest.raises(TooManyRequestsError):
        await limits.count("login", at(addresses[-1]), "ada@example.com")
    await limits.count("login", at(other), "ada@example.com")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("AUTH_ACCOUNT_LIMIT", "often", "AUTH_ACCOUNT_LIMIT: is not a rate. Example: 10/15 minutes"),
        ("AUTH_APP_URL", None, "AUTH_APP_URL: must be an https address"),
        ("AUTH_APP_URL", "http://app.example.com", "AUTH_APP_URL: must be an https address"),
    ],
)
def test_production_refuses_what_is_not_safe(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str | None, said: str
) -> None:
    monkeypatch.setenv("ENV", "prod")
    monkeypatch.setenv("AUTH_APP_URL", "https://app.example.com/")
    assert load(SecuritySettings).link("/x") == "https://app.example.com/x"

    if value is None:
        monkeypatch.delenv(variable)
    else:
        monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=said):
        load(SecuritySettings)
