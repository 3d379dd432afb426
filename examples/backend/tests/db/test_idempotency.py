"""Idempotency keys: how long they last, and what they are bound to."""

import pytest
from pydantic import BaseModel
from sqlmodel import col, update
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.base import utc_now
from app.db.idempotency import KEPT_FOR, IdempotencyKey, Once, purge


class Number(BaseModel):
    value: int


class Counter:
    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, body: Number) -> Number:
        self.count += 1
        return Number(value=self.count)


@pytest.fixture
def counter() -> Counter:
    return Counter()


async def age(session: AsyncSession) -> None:
    await session.exec(
        update(IdempotencyKey).values(created_at=utc_now() - 2 * KEPT_FOR).where(col(IdempotencyKey.key) != "")
    )
    session.expunge_all()


async def test_without_a_key_everything_happens_each_time(session: AsyncSession, counter: Counter) -> None:
    once = Once(session, "POST /numbers", None)

    assert [await once(counter, Number(value=0), Number) for _ in range(2)] == [Number(value=1), Number(value=2)]


async def test_a_key_is_bound_to_its_route(session: AsyncSession, counter: Counter) -> None:
    for path in ("POST /numbers", "POST /letters", "POST /numbers"):
        await Once(session, path, "key")(counter, Number(value=0), Number)

    assert counter.count == 2


async def test_an_expired_key_is_as_new(session: AsyncSession, counter: Counter) -> None:
    once = Once(session, "POST /numbers", "key")
    await once(counter, Number(value=0), Number)
    await age(session)

    assert await once(counter, Number(value=7), Number) == Number(value=2)


async def test_expired_keys_are_purged(session: AsyncSession, counter: Counter) -> None:
    await Once(session, "POST /numbers", "old")(counter, Number(value=0), Number)
    await age(session)
    await Once(session, "POST /numbers", "new")(counter, Number(value=0), Number)

    assert await purge(session) == 1
    assert await purge(session) == 0
