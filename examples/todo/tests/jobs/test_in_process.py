"""Running jobs in the process of the relay."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from app.db.session import Database
from app.jobs.in_process import InProcessDestination
from app.jobs.relay import JobRelay
from app.jobs.runner import JobRunner
from app.jobs.task import Job, non_transactional_task
from app.outbox.background import run_in_background
from tests.jobs.conftest import enqueue, enqueue_and_mark_sent
from tests.outbox.conftest import outbox_rows
from tests.waiting import TIMEOUT_SECONDS, wait_until

proceed = asyncio.Event()
active_jobs: list[UUID] = []
active_counts: list[int] = []


@non_transactional_task()
async def count_active_jobs(job: Job) -> None:
    """Record the number of concurrent calls."""
    active_jobs.append(job.id)
    active_counts.append(len(active_jobs))
    try:
        await proceed.wait()
    finally:
        active_jobs.remove(job.id)


@non_transactional_task(timeout_seconds=TIMEOUT_SECONDS)
async def run_until_stopping(job: Job) -> None:
    """Work until the worker stops."""
    active_jobs.append(job.id)
    await job.worker_stopping.wait()
    active_jobs.remove(job.id)
    job.exit_if_stopping()


@pytest.fixture(autouse=True)
async def _reset_state() -> None:
    active_jobs.clear()
    active_counts.clear()
    proceed.set()


@pytest.fixture
def destination(empty_database: Database) -> InProcessDestination:
    return InProcessDestination(JobRunner(empty_database, max_jobs=2))


@asynccontextmanager
async def stop_at_end(destination: InProcessDestination, stop_seconds: float) -> AsyncGenerator[None]:
    """Stop the runner at the end of the block."""
    yield
    await destination.runner.stop(stop_seconds)


async def test_number_of_concurrent_jobs_is_limited(
    empty_database: Database, destination: InProcessDestination
) -> None:
    proceed.clear()
    ids = [await enqueue(empty_database, count_active_jobs) for _ in range(5)]
    relay = JobRelay(empty_database, destination, poll_seconds=0.01, recheck_seconds=0)
    async with stop_at_end(destination, stop_seconds=TIMEOUT_SECONDS), run_in_background(relay.run()):
        await wait_until(lambda: len(active_jobs) == 2 and len(destination.runner.running_jobs) == 5)
        assert await destination.find_queued(await outbox_rows(empty_database)) == set(ids)
        proceed.set()
        await wait_until(lambda: len(active_counts) == 5)

    assert max(active_counts) == 2
    assert await outbox_rows(empty_database) == []
    assert destination.runner.running_jobs == {}


async def test_job_that_is_sent_twice_runs_once(empty_database: Database, destination: InProcessDestination) -> None:
    proceed.clear()
    await enqueue_and_mark_sent(empty_database, count_active_jobs)
    async with stop_at_end(destination, stop_seconds=TIMEOUT_SECONDS):
        await destination.send(await outbox_rows(empty_database))
        started = dict(destination.runner.running_jobs)
        await destination.send(await outbox_rows(empty_database))
        assert destination.runner.running_jobs == started
        proceed.set()

    assert active_counts == [1]
    assert await outbox_rows(empty_database) == []


async def test_unfinished_jobs_are_released(empty_database: Database, destination: InProcessDestination) -> None:
    proceed.clear()
    for _ in range(3):
        await enqueue_and_mark_sent(empty_database, count_active_jobs)
    async with stop_at_end(destination, stop_seconds=0):
        await destination.send(await outbox_rows(empty_database))
        await wait_until(lambda: len(active_jobs) == 2)

    assert active_jobs == []
    assert [(row.attempts, row.leased_until) for row in await outbox_rows(empty_database)] == [(0, None)] * 3


async def test_long_task_is_released_when_stopping(empty_database: Database, destination: InProcessDestination) -> None:
    await enqueue_and_mark_sent(empty_database, run_until_stopping)
    async with stop_at_end(destination, stop_seconds=TIMEOUT_SECONDS):
        await destination.send(await outbox_rows(empty_database))
        await wait_until(lambda: len(active_jobs) == 1)

    assert active_jobs == []
    assert [(row.attempts, row.leased_until) for row in await outbox_rows(empty_database)] == [(0, None)]


async def test_queued_jobs_are_not_started_when_stopping(
    empty_database: Database, destination: InProcessDestination
) -> None:
    proceed.clear()
    for _ in range(5):
        await enqueue_and_mark_sent(empty_database, count_active_jobs)
    async with stop_at_end(destination, stop_seconds=TIMEOUT_SECONDS):
        await destination.send(await outbox_rows(empty_database))
        await wait_until(lambda: len(active_jobs) == 2)
        asyncio.get_running_loop().call_later(0.05, proceed.set)

    assert len(active_counts) == 2
    assert len(await outbox_rows(empty_database)) == 3


async def test_idle_destination_stops_immediately(destination: InProcessDestination) -> None:
    async with stop_at_end(destination, stop_seconds=TIMEOUT_SECONDS):
        pass


async def test_job_is_sent_again_after_database_error(empty_database: Database) -> None:
    class FailingRunner(JobRunner):
        async def run(self, job_id: UUID) -> None:
            raise OperationalError("SELECT 1", {}, OSError("gone"))

    destination = InProcessDestination(FailingRunner(empty_database))
    job_id = await enqueue_and_mark_sent(empty_database, count_active_jobs)
    with capture_logs() as lines:
        async with stop_at_end(destination, stop_seconds=TIMEOUT_SECONDS):
            await destination.send(await outbox_rows(empty_database))
            await wait_until(lambda: bool(lines))

    assert lines == [
        {
            "event": "job interrupted, it will be sent again",
            "job_id": str(job_id),
            "error": "OperationalError: gone",
            "log_level": "warning",
        }
    ]
    assert await destination.find_queued(await outbox_rows(empty_database)) == set()
