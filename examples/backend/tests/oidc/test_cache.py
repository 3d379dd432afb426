"""The cache for provider data."""

import asyncio

import pytest

from app.core.exceptions import UnavailableError
from app.oidc.cache import RETRY_SECONDS, STALE_SECONDS, Cached


class Source:
    """Returns 1, 2, 3, … as soon as `may_respond` is set; the 13th fetch fails."""

    def __init__(self) -> None:
        self.fetched = 0
        self.may_respond = asyncio.Event()
        self.may_respond.set()

    async def fetch(self) -> int:
        self.fetched += 1
        await self.may_respond.wait()
        if self.fetched == 13:
            raise UnavailableError
        return self.fetched


@pytest.fixture
def source() -> Source:
    return Source()


async def test_outdated_value_is_fetched_again(source: Source, clock: list[float]) -> None:
    cached = Cached(source.fetch)

    assert [await cached.get(10), await cached.get(10)] == [1, 1]
    clock[0] = 10.5
    assert [await cached.get(11), await cached.get(10), await cached.get(10)] == [1, 2, 2]


async def test_concurrent_callers_share_one_fetch(source: Source) -> None:
    cached = Cached(source.fetch)
    source.may_respond.clear()
    waiting = [asyncio.create_task(cached.get(10)) for _ in range(20)]
    await asyncio.sleep(0)
    waiting.pop().cancel()
    source.may_respond.set()

    assert await asyncio.gather(*waiting) == [1] * 19


async def test_failure_is_cached_briefly(source: Source, clock: list[float]) -> None:
    cached = Cached(source.fetch)
    source.fetched = 12

    failed = await asyncio.gather(*(cached.get(10) for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in failed] == [UnavailableError] * 3
    with pytest.raises(UnavailableError):
        await cached.get(10)
    assert source.fetched == 13

    clock[0] = RETRY_SECONDS + 0.5
    assert await cached.get(10) == 14


async def test_stale_value_is_used_during_an_outage(source: Source, clock: list[float]) -> None:
    cached = Cached(source.fetch)
    source.fetched = 11
    await cached.get(10)
    clock[0] = 11

    assert [await cached.get(10), await cached.get(10)] == [12, 12]
    assert source.fetched == 13
    clock[0] = STALE_SECONDS + 1
    source.fetched = 12
    with pytest.raises(UnavailableError):
        await cached.get(10)
