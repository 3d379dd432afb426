"""Doing jobs in the process that relays them."""

import asyncio
from uuid import UUID

import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from app.db.session import Database
from app.outbox.relay import relaying
from app.workers.in_process import InProcess
from app.workers.relay import JobRelay
from app.workers.runner import Runner
from app.workers.task import Job, outside_task
from tests.outbox.conftest import rows
from tests.waiting import TIMEOUT_SECONDS, until
from tests.workers.conftest import enqueue, hand_out

door = asyncio.Event()
inside: list[UUID] = []
most: list[int] = []


@outside_task()
async def enter(job: Job) -> None:
    """Note how many are inside at the same time."""
    inside.append(job.id)
    most.append(len(inside))
    try:
        await door.wait()
    finally:
        inside.remove(job.id)


@pytest.fixture(autouse=True)
async def _open_door() -> None:
    inside.clear()
    most.clear()
    door.set()


@pytest.fixture
def destination(runner: Runner) -> InProcess:
    return InProcess(runner, jobs=2)


async def test_what_is_sent_is_done_a_few_at_a_time(jobs: Database, destination: InProcess) -> None:
    door.clear()
    ids = [await enqueue(jobs, enter) for _ in range(5)]
    relay = JobRelay(jobs, destination, poll_seconds=0.01)
    async with destination.running(stop_seconds=TIMEOUT_SECONDS), relaying(relay):
        await until(lambda: len(inside) == 2 and len(destination.under_way) == 5)
        assert await destination.holding(await rows(jobs)) == set(ids)
        door.set()
        await until(lambda: len(most) == 5)

    assert max(most) == 2
    assert await rows(jobs) == []
    assert destination.under_way == {}


async def test_what_is_sent_twice_is_begun_once(jobs: Database, destination: InProcess) -> None:
    door.clear()
    await hand_out(jobs, enter)
    async with destination.running(stop_seconds=TIMEOUT_SECONDS):
        await destination.send(await rows(jobs))
        begun = dict(destination.under_way)
        await destination.send(await rows(jobs))
        assert destination.under_way == begun
        door.set()

    assert most == [1]
    assert await rows(jobs) == []


async def test_what_does_not_end_in_time_is_given_back(jobs: Database, destination: InProcess) -> None:
    door.clear()
    for _ in range(3):
        await hand_out(jobs, enter)
    async with destination.running(stop_seconds=0):
        await destination.send(await rows(jobs))
        await until(lambda: len(inside) == 2)

    assert inside == []
    assert [(row.attempts, row.taken_until) for row in await rows(jobs)] == [(0, None)] * 3


async def test_what_waits_for_its_turn_is_not_begun_any_more(jobs: Database, destination: InProcess) -> None:
    door.clear()
    for _ in range(5):
        await hand_out(jobs, enter)
    async with destination.running(stop_seconds=TIMEOUT_SECONDS):
        await destination.send(await rows(jobs))
        await until(lambda: len(inside) == 2)
        asyncio.get_running_loop().call_later(0.05, door.set)

    assert len(most) == 2
    assert len(await rows(jobs)) == 3


async def test_with_nothing_to_do_it_stops_at_once(destination: InProcess) -> None:
    async with destination.running(stop_seconds=TIMEOUT_SECONDS):
        pass


async def test_a_job_that_cannot_be_looked_up_is_left_to_the_relay(jobs: Database) -> None:
    class Failing(Runner):
        async def run(self, job_id: UUID) -> None:
            raise OperationalError("SELECT 1", {}, OSError("gone"))

    destination = InProcess(Failing(jobs), jobs=2)
    job_id = await hand_out(jobs, enter)
    with capture_logs() as lines:
        async with destination.running(stop_seconds=TIMEOUT_SECONDS):
            await destination.send(await rows(jobs))
            await until(lambda: bool(lines))

    assert lines == [
        {
            "event": "job not done: it will be sent again",
            "job_id": str(job_id),
            "error": "OperationalError",
            "log_level": "warning",
        }
    ]
    assert await destination.holding(await rows(jobs)) == set()
