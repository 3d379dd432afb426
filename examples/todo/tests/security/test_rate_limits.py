"""Rate limits and their settings."""

import pytest
from fastapi import Request
from structlog.testing import capture_logs

from app.core.config import ConfigurationError, Environment, load
from app.core.exceptions import TooManyRequestsError
from app.security.audit import fingerprint
from app.security.principal import Device
from app.security.rate_limits import BoundedMemoryStorage, RateLimits, get_device
from app.security.settings import SecuritySettings, is_safe_url


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> RateLimits:
    monkeypatch.setenv("AUTH_ADDRESS_LIMIT", "3/minute")
    return RateLimits(load(SecuritySettings))


def device_at(address: str) -> Device:
    return Device(client="test", address=address)


@pytest.mark.parametrize(
    ("addresses", "other"),
    [
        (["192.0.2.1"] * 3, "192.0.2.2"),
        (["2001:db8::1", "2001:db8::2", "2001:db8::ffff:3"], "2001:db8:0:1::1"),
        (["192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201"], "::ffff:192.0.2.2"),
        ([""] * 3, "192.0.2.1"),
    ],
)
async def test_attempts_per_network_are_limited(limits: RateLimits, addresses: list[str], other: str) -> None:
    for address in addresses:
        await limits.count("login", device_at(address))
    with pytest.raises(TooManyRequestsError) as caught:
        await limits.count("login", device_at(addresses[-1]))

    assert 1 <= caught.value.retry_after_seconds <= 60
    await limits.count("login", device_at(other))
    await limits.count("register", device_at(addresses[-1]))


@pytest.mark.parametrize(
    ("client", "address"),
    [(("192.0.2.1", 1), "192.0.2.1"), (("2001:DB8::1", 1), "2001:db8::1"), (("x" * 99, 1), ""), (None, "")],
)
async def test_device_has_a_valid_address_or_none(client: tuple[str, int] | None, address: str) -> None:
    request = Request({"type": "http", "client": client, "headers": [(b"user-agent", b"x" * 999)]})

    assert await get_device(request) == Device(client="x" * 200, address=address)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of the counters."""
    now = [1_000_000.0]
    monkeypatch.setattr("app.security.rate_limits.time.time", lambda: now[0])
    return now


async def test_counters_expire_and_are_evicted(clock: list[float]) -> None:
    counters = BoundedMemoryStorage(capacity=10)
    assert [await counters.incr("a", 60) for _ in range(2)] == [1, 2]
    assert await counters.get_expiry("a") == clock[0] + 60

    for n in range(9):
        await counters.incr(f"{n}", 120)
    await counters.incr("new", 60)  # evicts the oldest counter
    assert [await counters.get(key) for key in ("a", "0", "1", "8", "new")] == [0, 1, 1, 1, 1]

    for key in ("x", "y"):
        await counters.incr(key, 120)
    clock[0] += 61
    assert await counters.get("new") == 0
    await counters.incr("z", 60)
    assert await counters.incr("y", 120) == 2
    clock[0] += 60
    assert await counters.incr("y", 120) == 1
    await counters.clear("y")
    assert await counters.get("y") == 0
    assert await counters.check()
    assert await counters.reset() > 0
    assert await counters.reset() == 0


async def test_expired_counters_are_evicted_first(clock: list[float]) -> None:
    counters = BoundedMemoryStorage(capacity=3)
    for key, seconds in (("long", 3600), ("short", 1), ("longer", 7200)):
        await counters.incr(key, seconds)
    clock[0] += 2
    await counters.incr("new", 60)

    assert [await counters.get(key) for key in ("long", "short", "longer", "new")] == [1, 0, 1, 1]


@pytest.mark.parametrize("seconds_per_key", [0, 1])
async def test_new_keys_rarely_scan_a_full_storage(
    clock: list[float], monkeypatch: pytest.MonkeyPatch, seconds_per_key: int
) -> None:
    """Each request of an attacker can create a key, even while exactly one old counter expires."""
    counters, scanned = BoundedMemoryStorage(capacity=1000), []
    evict = counters._evict

    def record_and_evict() -> None:
        scanned.append(len(counters._counters))
        evict()

    monkeypatch.setattr(counters, "_evict", record_and_evict)
    for n in range(3000):
        await counters.incr(f"{n}", 1000)
        clock[0] += seconds_per_key

    assert 1000 <= sum(scanned) <= 2000 * 10 + 1000, "about ten entries for each key that is too many"
    assert len(counters._counters) <= 1000


@pytest.mark.parametrize("rate", ["often", "0/minute", "10/0 minutes", "10/15 minutes;5/second", "-1/minute"])
def test_invalid_rate_is_rejected(monkeypatch: pytest.MonkeyPatch, rate: str) -> None:
    monkeypatch.setenv("AUTH_ADDRESS_LIMIT", rate)

    with pytest.raises(ConfigurationError, match="AUTH_ADDRESS_LIMIT: is not a rate"):
        load(SecuritySettings)


def test_links_use_the_frontend_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENV", "prod")
    monkeypatch.setenv("AUTH_APP_URL", "https://app.example.com/")

    assert load(SecuritySettings).link("/x") == "https://app.example.com/x"


@pytest.mark.parametrize(
    "url",
    [
        *("", "http://app.example.com", "https://", "https://a@b.example", "https://x/#x", "https://x/?x", "https://["),
        *("javascript:alert(1)", "http://127.0.0.1"),
    ],
)
def test_production_rejects_unsafe_frontend_url(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("ENV", "prod")
    monkeypatch.setenv("AUTH_APP_URL", url)

    with pytest.raises(ConfigurationError, match="AUTH_APP_URL: must be an https URL"):
        load(SecuritySettings)


def test_http_is_allowed_for_localhost_outside_production() -> None:
    assert is_safe_url("http://127.0.0.1:8000", Environment.DEV)
    assert not is_safe_url("http://192.0.2.1:8000", Environment.DEV)


async def test_successful_attempts_are_not_counted(limits: RateLimits) -> None:
    for _ in range(10):
        await limits.count("login", device_at("192.0.2.1"))
        await limits.undo_count("login", device_at("192.0.2.1"))
    assert limits.counters._counters == {}

    for _ in range(2):
        await limits.count("login", device_at("192.0.2.1"))
    await limits.undo_count("login", device_at("192.0.2.1"))
    for _ in range(2):
        await limits.count("login", device_at("192.0.2.1"))
    with pytest.raises(TooManyRequestsError):
        await limits.count("login", device_at("192.0.2.1"))


async def test_exceeded_limit_is_logged(limits: RateLimits) -> None:
    await limits.hit("1/minute", "login", account="ada", network="192.0.2.1")
    with capture_logs() as lines, pytest.raises(TooManyRequestsError):
        await limits.hit("1/minute", "login", account="ada", network="192.0.2.1")
    await limits.hit("1/minute", "login", account="ada")
    await limits.hit("1/minute", "login", network="192.0.2.1")

    [line] = lines
    assert (line["limit"], line["account"], line["network"]) == ("1/minute", "ada", "192.0.2.1")


async def test_counter_can_be_reset(limits: RateLimits) -> None:
    for _ in range(3):
        await limits.hit("1/minute", "login", account="ada")
        await limits.reset_count("1/minute", "login", account="ada")


def test_fingerprint_identifies_an_address_without_revealing_it() -> None:
    assert fingerprint(" Ada@example.com") == fingerprint("ada@example.com") != fingerprint("bob@example.com")
    assert "ada" not in fingerprint("ada@example.com")
