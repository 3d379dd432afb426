"""Running jobs in the process of the relay."""

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
    """Record the number of concurrent calls."""
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


async def test_number_of_concurrent_jobs_is_limited(jobs: Database, destination: InProcess) -> None:
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


async def test_job_that_is_sent_twice_runs_once(jobs: Database, destination: InProcess) -> None:
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


async def test_unfinished_jobs_are_released(jobs: Database, destination: InProcess) -> None:
    door.clear()
    for _ in range(3):
        await hand_out(jobs, enter)
    async with destination.running(stop_seconds=0):
        await destination.send(await rows(jobs))
        await until(lambda: len(inside) == 2)

    assert inside == []
    assert [(row.attempts, row.taken_until) for row in await rows(jobs)] == [(0, None)] * 3


async def test_queued_jobs_are_not_started_when_stopping(jobs: Database, destination: InProcess) -> None:
    door.clear()
    for _ in range(5):
        await hand_out(jobs, enter)
    async with destination.running(stop_seconds=TIMEOUT_SECONDS):
        await destination.send(await rows(jobs))
        await until(lambda: len(inside) == 2)
        asyncio.get_running_loop().call_later(0.05, door.set)

    assert len(most) == 2
    assert len(await rows(jobs)) == 3


async def test_idle_destination_stops_immediately(destination: InProcess) -> None:
    async with destination.running(stop_seconds=TIMEOUT_SECONDS):
        pass


async def test_job_is_sent_again_after_database_error(jobs: Database) -> None:
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
            "event": "job interrupted, it will be sent again",
            "job_id": str(job_id),
            "error": "OperationalError",
            "log_level": "warning",
        }
    ]
    assert await destination.holding(await rows(jobs)) == set()
