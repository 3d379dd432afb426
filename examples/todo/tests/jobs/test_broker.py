"""Distributing jobs with a real Redis, which may stop or lose its data."""

import asyncio
from pathlib import Path
from uuid import UUID

import dramatiq
import pytest
from dramatiq.brokers.redis import RedisBroker
from redis.exceptions import RedisError
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from app.db.session import Database
from app.jobs.broker import RedisDestination, make_broker, run_worker
from app.jobs.relay import JobRelay
from app.jobs.runner import JobRunner
from app.jobs.settings import WorkerSettings
from app.jobs.task import Job, Queue, non_transactional_task
from app.outbox.background import run_in_background
from app.outbox.models import OutboxMessage
from app.outbox.poller import DestinationUnavailable
from tests.jobs.conftest import delete_keys, enqueue, enqueue_and_mark_sent, redis_server, settings_for
from tests.outbox.conftest import outbox_rows, shift_timestamps
from tests.waiting import TIMEOUT_SECONDS, wait_until

QUEUES = [*Queue]


class TaskControl:
    """Records which tasks have started and ended, and lets them end."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.finished: list[str] = []
        self.proceed = asyncio.Event()


control = TaskControl()


@pytest.fixture(autouse=True)
async def _reset_control() -> None:
    control.__init__()
    control.proceed.set()


async def run_task(name: str) -> None:
    control.started.append(name)
    await control.proceed.wait()
    control.finished.append(name)


@non_transactional_task(queue=Queue.HIGH)
async def high_priority_task(job: Job, *, name: str) -> None:
    await run_task(name)


@non_transactional_task()
async def default_task(job: Job, *, name: str) -> None:
    await run_task(name)


@non_transactional_task(queue=Queue.EMAIL)
async def email_task(job: Job, *, name: str) -> None:
    await run_task(name)


@non_transactional_task(queue=Queue.LOW)
async def low_priority_task(job: Job, *, name: str) -> None:
    await run_task(name)


@non_transactional_task(timeout_seconds=TIMEOUT_SECONDS)
async def long_task(job: Job) -> None:
    control.started.append("steps")
    await job.worker_stopping.wait()
    control.finished.append("steps")
    job.exit_if_stopping()


@pytest.fixture
def destination(broker: RedisBroker) -> RedisDestination:
    return RedisDestination(broker)


def create_relay(database: Database, broker: RedisBroker) -> JobRelay:
    return JobRelay(database, RedisDestination(broker), poll_seconds=0.01, recheck_seconds=0)


def count_queued(broker: RedisBroker, queue: Queue = Queue.DEFAULT) -> int:
    """Return the number of messages that no worker has fetched."""
    count: int = broker.client.llen(f"{broker.namespace}:{queue}")
    return count


async def test_queued_jobs_are_found_and_not_sent_twice(
    empty_database: Database, broker: RedisBroker, destination: RedisDestination
) -> None:
    await enqueue_and_mark_sent(empty_database, high_priority_task, name="a")
    await enqueue_and_mark_sent(empty_database, default_task, name="b")
    [high, default] = await outbox_rows(empty_database)

    assert await destination.find_queued([high, default]) == set()
    await destination.send([high])
    assert await destination.find_queued([high, default]) == {high.id}
    await destination.send([high, default])
    assert await destination.find_queued([high, default]) == {high.id, default.id}
    assert [queue for queue in QUEUES if count_queued(broker, queue)] == [Queue.HIGH, Queue.DEFAULT]


async def test_each_attempt_has_its_own_message(
    empty_database: Database, broker: RedisBroker, destination: RedisDestination
) -> None:
    await enqueue_and_mark_sent(empty_database, default_task, name="a")
    [row] = await outbox_rows(empty_database)
    await destination.send([row])
    row.attempts = 1
    await destination.send([row])

    assert count_queued(broker) == 2


async def test_empty_batch_is_accepted(destination: RedisDestination) -> None:
    await destination.send([])
    assert await destination.find_queued([]) == set()


async def test_worker_runs_jobs_of_relay(empty_database: Database, broker: RedisBroker) -> None:
    for number in range(10):
        await enqueue(
            empty_database, [high_priority_task, default_task, low_priority_task][number % 3], name=str(number)
        )

    async with (
        run_worker(broker, JobRunner(empty_database), settings_for("redis://unused", jobs=4)),
        run_in_background(create_relay(empty_database, broker).run()),
    ):
        await wait_until(lambda: len(control.finished) == 10)
    assert sorted(control.finished, key=int) == [str(number) for number in range(10)]
    assert await outbox_rows(empty_database) == []
    assert not any(count_queued(broker, queue) for queue in QUEUES)


async def test_worker_can_be_limited_to_some_queues(empty_database: Database, broker: RedisBroker) -> None:
    for each in (high_priority_task, email_task):
        await enqueue(empty_database, each, name=each.name)

    async with (
        run_worker(broker, JobRunner(empty_database), settings_for("redis://unused"), [Queue.EMAIL]),
        run_in_background(create_relay(empty_database, broker).run()),
    ):
        await wait_until(lambda: len(control.finished) == 1 and count_queued(broker, Queue.HIGH) == 1)
    assert control.finished == ["email_task"]


async def proceed_when_stopping(worker: dramatiq.Worker) -> None:
    await wait_until(lambda: not any(thread.running for thread in worker.workers))
    control.proceed.set()


async def test_jobs_run_by_priority(empty_database: Database, broker: RedisBroker) -> None:
    control.proceed.clear()
    await enqueue(empty_database, default_task, name="already begun")
    async with run_worker(broker, JobRunner(empty_database), settings_for("redis://unused", jobs=1)) as worker:
        await create_relay(empty_database, broker).run_once()
        await wait_until(lambda: control.started == ["already begun"])
        for job, name in ((low_priority_task, "low"), (default_task, "default"), (high_priority_task, "high")):
            await enqueue(empty_database, job, name=name)
        await create_relay(empty_database, broker).run_once()
        await wait_until(lambda: worker.work_queue.qsize() == 3)
        control.proceed.set()
        await wait_until(lambda: len(control.finished) == 4)

    assert control.started == ["already begun", "high", "default", "low"]


async def test_stopping_worker_finishes_running_jobs_and_returns_others(
    empty_database: Database, broker: RedisBroker
) -> None:
    control.proceed.clear()
    for name in ("under way", "fetched", "too"):
        await enqueue(empty_database, default_task, name=name)
    async with run_worker(broker, JobRunner(empty_database), settings_for("redis://unused", jobs=1)) as worker:
        await create_relay(empty_database, broker).run_once()
        await wait_until(lambda: control.started == ["under way"] and worker.work_queue.qsize() == 1)
        proceeding = asyncio.create_task(proceed_when_stopping(worker))

    await proceeding
    assert control.finished == ["under way"]
    assert [(row.attempts, row.leased_until) for row in await outbox_rows(empty_database)] == [(0, None), (0, None)]
    assert count_queued(broker) == 2


async def test_long_task_is_released_when_stopping(empty_database: Database, broker: RedisBroker) -> None:
    await enqueue(empty_database, long_task)
    async with run_worker(broker, JobRunner(empty_database), settings_for("redis://unused", jobs=1)):
        await create_relay(empty_database, broker).run_once()
        await wait_until(lambda: control.started == ["steps"])

    assert control.finished == ["steps"]
    assert [(row.attempts, row.leased_until) for row in await outbox_rows(empty_database)] == [(0, None)]


async def test_jobs_that_exceed_stop_time_are_released(
    empty_database: Database, broker: RedisBroker, worker_settings: WorkerSettings
) -> None:
    control.proceed.clear()
    for name in ("a", "b", "c"):
        await enqueue(empty_database, default_task, name=name)
    async with run_worker(broker, JobRunner(empty_database), settings_for("redis://unused", jobs=2, stop_seconds=0)):
        await create_relay(empty_database, broker).run_once()
        await wait_until(lambda: len(control.started) == 2)

    assert control.finished == []
    assert [(row.attempts, row.leased_until) for row in await outbox_rows(empty_database)] == [(0, None)] * 3
    control.proceed.set()
    another = make_broker(worker_settings)
    another.namespace = broker.namespace
    await shift_timestamps(empty_database, 1)
    async with (
        run_worker(another, JobRunner(empty_database), worker_settings),
        run_in_background(create_relay(empty_database, broker).run()),
    ):
        await wait_until(lambda: len(control.finished) == 3)


async def test_jobs_lost_by_redis_are_sent_again(empty_database: Database, broker: RedisBroker) -> None:
    for name in ("a", "b"):
        await enqueue(empty_database, default_task, name=name)
    relay = create_relay(empty_database, broker)
    await relay.run_once()
    delete_keys(broker)
    await shift_timestamps(empty_database, 11)
    with capture_logs() as lines:
        await relay.run_once()
        await relay.run_once()

    assert count_queued(broker) == 2
    assert lines[0]["event"] == "jobs: lost by the destination, requeued"


async def test_unavailable_redis_is_reported_without_its_password() -> None:
    destination = RedisDestination(make_broker(settings_for("redis://ada:hunter2@127.0.0.1:1/0")))
    event = OutboxMessage(destination="workers", queue="default", name="any", payload="{}")

    for method in (destination.send, destination.find_queued):
        with pytest.raises(DestinationUnavailable, match=r"^Redis: .*127\.0\.0\.1:1") as refusal:
            await method([event])
        assert "hunter2" not in str(refusal.value)


async def test_job_is_sent_again_after_database_error(empty_database: Database, broker: RedisBroker) -> None:
    failures = [OperationalError("SELECT 1", {}, OSError("gone"))]

    class FailingOnceRunner(JobRunner):
        async def run(self, job_id: UUID) -> None:
            if failures:
                raise failures.pop()
            await super().run(job_id)

    await enqueue(empty_database, default_task, name="a")
    with capture_logs() as lines:
        async with run_worker(broker, FailingOnceRunner(empty_database), settings_for("redis://unused")):
            await create_relay(empty_database, broker).run_once()
            await wait_until(
                lambda: count_queued(broker) == 0 and "job interrupted, it will be sent again" in str(lines)
            )
            [row] = await outbox_rows(empty_database)
            assert (row.sent_at is None, row.attempts) == (False, 0)
            await wait_until(lambda: broker.client.hlen(f"{broker.namespace}:default.msgs") == 0)
            await shift_timestamps(empty_database, 11)
            await create_relay(empty_database, broker).run_once()
            await create_relay(empty_database, broker).run_once()
            await wait_until(lambda: control.finished == ["a"])


async def test_worker_stops_without_redis(
    empty_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CONSUMER_RESTART_DELAY_SECS", "POST_PROCESS_MESSAGE_RETRY_DELAY_SECS"):
        monkeypatch.setattr(f"dramatiq.worker.{name}", 0.1)
    control.proceed.clear()
    for name in ("a", "b"):
        await enqueue(empty_database, default_task, name=name)
    with redis_server(tmp_path) as url:
        settings: WorkerSettings = settings_for(url, jobs=1, stop_seconds=1)
        broker = make_broker(settings)
        worker_context = run_worker(broker, JobRunner(empty_database), settings, margin_seconds=0.5)
        worker = await worker_context.__aenter__()
        await create_relay(empty_database, broker).run_once()
        await wait_until(lambda: control.started == ["a"] and count_queued(broker) == 0)
    control.proceed.set()
    await wait_until(lambda: control.finished == ["a"])
    with capture_logs() as lines:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await worker_context.__aexit__(None, None, None)

    assert [line["event"] for line in lines if line["log_level"] == "warning"] == [
        "Redis unavailable, queued jobs will be sent again"
    ]
    with pytest.raises(RedisError):
        broker.client.ping()
    monkeypatch.setattr("dramatiq.brokers.redis._RedisConsumer.ack", lambda *_: None)
    for thread in worker.workers:  # which would retry forever
        thread.join(TIMEOUT_SECONDS)
        assert not thread.is_alive()
