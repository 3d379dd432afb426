"""The scheduler loop and its leader election."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy.exc import OperationalError
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.testing import capture_logs

from app.db.leader import Leadership
from app.db.session import Database
from app.outbox.background import run_in_background
from app.topology import clock
from app.topology.clock import Clock, Tick
from tests.conftest import OwnRegistry
from tests.waiting import TIMEOUT_SECONDS, wait_until

TIMES = 3


class Called:
    """A function that counts its calls and can raise errors."""

    def __init__(self, more: int = 0, *errors: Exception) -> None:
        self.more = more
        self.errors = list(errors)
        self.times = 0

    def as_tick(self) -> Tick:
        async def call(session: AsyncSession) -> bool:
            self.times += 1
            if self.errors:
                raise self.errors.pop(0)
            self.more -= 1
            return self.more >= 0

        return call


def looking_at(database: Database, *each: Called, look_seconds: float = 0.01) -> Clock:
    """A scheduler loop with a very short interval."""
    return Clock(database, [one.as_tick() for one in each], look_seconds)


async def called(*each: Called) -> bool:
    return all(one.times >= TIMES for one in each)


async def test_functions_are_called_repeatedly(committing_database: Database) -> None:
    one = Called()
    async with run_in_background(looking_at(committing_database, one).run()):
        await wait_until(lambda: called(one))


async def test_function_with_more_work_is_called_immediately(committing_database: Database) -> None:
    one = Called(more=TIMES)
    async with run_in_background(looking_at(committing_database, one, look_seconds=2 * TIMEOUT_SECONDS).run()):
        await wait_until(lambda: called(one))
    assert one.times == TIMES + 1


async def test_failing_function_does_not_stop_others(committing_database: Database) -> None:
    one, other = Called(0, RuntimeError("no")), Called()
    with capture_logs() as lines:
        async with run_in_background(looking_at(committing_database, one, other).run()):
            await wait_until(lambda: called(one, other))

    [failed] = [line for line in lines if line["event"] == "scheduler: function failed"]
    assert failed["error"] == "RuntimeError: no"
    assert failed["function"].endswith("call")


async def test_scheduler_recovers_from_database_outage(committing_database: Database) -> None:
    one = Called(0, OperationalError("", None, Exception("away")))
    with capture_logs() as lines:
        async with run_in_background(looking_at(committing_database, one).run()):
            await wait_until(lambda: called(one))
    assert [line["event"] for line in lines] == [
        "scheduler: became leader",
        "scheduler: lost leadership, retrying",
        "scheduler: became leader",
    ]


async def test_standby_takes_over_when_leader_stops(
    committing_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uses a fake instead of the PostgreSQL lock, so that the test also runs on SQLite."""
    lock, refused = asyncio.Lock(), asyncio.Event()

    @asynccontextmanager
    async def leading(_: Database) -> AsyncGenerator[Leadership | None]:
        if lock.locked():
            yield None
            refused.set()
            return
        async with lock:
            yield Always()

    class Always(Leadership):
        def __init__(self) -> None: ...

        async def confirm(self) -> None: ...

    monkeypatch.setattr(clock, "leading", leading)
    first, second = Called(), Called()
    leader = asyncio.create_task(looking_at(committing_database, first).run())
    await wait_until(lambda: called(first))
    async with run_in_background(looking_at(committing_database, second).run()):
        await refused.wait()
        assert second.times == 0
        leader.cancel()
        await asyncio.wait({leader})
        await wait_until(lambda: called(second))


def test_decorated_functions_are_called(committing_database: Database, own_registry: OwnRegistry) -> None:
    own_registry("app.topology.clock._ticking").clear()
    one = clock.ticking(Called().as_tick())
    assert list(Clock(committing_database).functions) == [one]
