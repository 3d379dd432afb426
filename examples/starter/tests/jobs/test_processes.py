"""Background processes: each serves health checks, and together they run a job."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlmodel import select, update

from app.core.runtime import runtime_of
from app.db.session import Database, transaction
from app.jobs import relay_jobs
from app.jobs.broker import RedisDestination, make_broker
from app.jobs.purge import purge_expired
from app.jobs.relay import JobRelay
from app.jobs.scheduler import ScheduleState
from app.jobs.task import Queue
from app.mail import Email, send
from app.main import create_app
from app.outbox import WakeSources
from app.outbox.models import OutboxMessage
from app.processes import create
from tests.jobs.conftest import delete_keys, settings_for
from tests.outbox.conftest import outbox_rows
from tests.processes import running_app, running_tasks, start_process
from tests.waiting import wait_until, wait_until_ready

create_relay, create_worker, create_scheduler = (partial(create, name) for name in ("relay", "worker", "scheduler"))
UNREACHABLE_REDIS_URL = "redis://ada:hunter2@127.0.0.1:1/0"
DATABASE_AND_REDIS_OK = {"database": "ok", "redis": "ok"}


@pytest.fixture(autouse=True)
def _fast_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTBOX_POLL_SECONDS", "0.01")


async def enqueue(database: Database) -> None:
    """Enqueue a job that finds nothing to delete."""
    async with transaction(database.write) as session:
        purge_expired.enqueue(session)


async def outbox_is_empty(database: Database) -> bool:
    return not await outbox_rows(database)


async def all_jobs_are_sent(database: Database) -> bool:
    return all(row.sent_at for row in await outbox_rows(database))


async def schedule_has_started(database: Database) -> bool:
    """Return whether a scheduler has started the schedule."""
    return "purge_expired" in await started_schedules(database)


async def started_schedules(database: Database) -> list[str]:
    async with transaction(database.read_transaction) as session:
        return list((await session.exec(select(ScheduleState.name))).all())


def test_api_process_does_not_import_redis(imported_modules: set[str]) -> None:
    assert "app.jobs" in imported_modules
    assert not {"dramatiq", "redis"} & imported_modules


async def test_without_redis_api_process_runs_everything(empty_database: Database) -> None:
    async with running_app(create_app) as client:
        await enqueue(empty_database)
        await wait_until(lambda: outbox_is_empty(empty_database))
        await wait_until(lambda: schedule_has_started(empty_database))
        assert (await wait_until_ready(client))["database"] == "ok"


async def test_relay_is_woken_by_registered_wake_sources(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTBOX_POLL_SECONDS", "60")
    wake_sources: list[asyncio.Event] = []

    @asynccontextmanager
    async def wake_source(wake: asyncio.Event) -> AsyncGenerator[None]:
        wake_sources.append(wake)
        yield
        wake_sources.remove(wake)

    def create() -> FastAPI:
        app = create_app()
        runtime_of(app)[WakeSources].append(wake_source)
        return app

    async with running_app(create):
        await enqueue(empty_database)
        assert wake_sources
        while await outbox_rows(empty_database):
            for wake in wake_sources:
                wake.set()
            await asyncio.sleep(0.01)
    assert wake_sources == []


@pytest.mark.parametrize(
    ("create", "healthy", "expected_tasks"),
    [
        (create_app, {"database": "ok"}, set()),
        (create_worker, DATABASE_AND_REDIS_OK, set()),
        (create_relay, DATABASE_AND_REDIS_OK, {"JobRelay"}),
        (create_scheduler, {"database": "ok"}, {"Scheduler"}),
    ],
)
async def test_with_redis_each_process_runs_only_its_tasks(
    empty_database: Database,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    create: Callable[[], FastAPI],
    healthy: dict[str, str],
    expected_tasks: set[str],
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    await enqueue(empty_database)
    async with running_app(create) as client:
        assert healthy.items() <= (await wait_until_ready(client)).items()
        if create is create_relay:
            await wait_until(lambda: all_jobs_are_sent(empty_database))
        elif create is create_scheduler:
            await wait_until(lambda: schedule_has_started(empty_database))
        assert running_tasks() & {"JobRelay", "Scheduler"} == expected_tasks

    [row] = await outbox_rows(empty_database)
    assert (row.sent_at is not None) is (create is create_relay)
    assert bool(await started_schedules(empty_database)) is (create is create_scheduler)
    delete_keys(make_broker(settings_for(redis_url)))


async def test_relay_without_redis_does_nothing(app: FastAPI) -> None:
    async with relay_jobs(runtime_of(app)):
        assert "redis" not in runtime_of(app).health_checks


@pytest.mark.parametrize("create", [create_worker, create_relay])
async def test_unavailable_redis_fails_health_check(
    empty_database: Database,
    monkeypatch: pytest.MonkeyPatch,
    create: Callable[[], FastAPI],
) -> None:
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY_SECS", 0.1)
    monkeypatch.setenv("REDIS_URL", UNREACHABLE_REDIS_URL)
    async with running_app(create) as client:
        health = await client.get("/health")

    assert health.status_code == 503
    assert {"database": "ok", "redis": "unavailable"}.items() <= health.json()["checks"].items()


async def test_processes_run_job_and_stop_on_signal(
    empty_database: Database,
    redis_url: str,
    tmp_path: Path,
) -> None:
    async with (
        start_process("run worker", tmp_path, REDIS_URL=redis_url) as worker,
        start_process("run relay", tmp_path, REDIS_URL=redis_url) as relay,
        start_process("run scheduler", tmp_path, REDIS_URL=redis_url) as scheduler,
    ):
        healthy = await asyncio.gather(*(each.wait_until_ready() for each in (worker, relay, scheduler)))
        await enqueue(empty_database)
        await wait_until(lambda: outbox_is_empty(empty_database))

    assert healthy == [DATABASE_AND_REDIS_OK, DATABASE_AND_REDIS_OK, {"database": "ok"}]
    assert await schedule_has_started(empty_database)
    assert '"event": "job finished"' in worker.log_text
    assert '"task": "purge_expired"' in worker.log_text


async def test_stopped_worker_releases_running_jobs(
    empty_database: Database,
    redis_url: str,
    tmp_path: Path,
) -> None:
    connections: list[Any] = []

    async def accept_without_response(*connection: Any) -> None:
        connections.append(connection)

    server = await asyncio.start_server(accept_without_response, "127.0.0.1", 0)
    mail_server = {
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(server.sockets[0].getsockname()[1]),
        "SMTP_TLS": "none",
        "SMTP_SENDER": "a@example.com",
    }
    async with transaction(empty_database.write) as session:
        for number in range(5):
            await send(session, Email("ada@example.com", str(number), "Hello", "<p>Hello</p>"))
        await session.exec(update(OutboxMessage).values(queue=Queue.DEFAULT))  # any worker runs this queue
    broker = make_broker(settings_for(redis_url))
    await JobRelay(empty_database, RedisDestination(broker), poll_seconds=1).run_once()
    limits = {"WORKER_JOBS": "2", "WORKER_STOP_SECONDS": "1", "REDIS_URL": redis_url}
    async with start_process("run worker", tmp_path, **limits, **mail_server) as worker:
        await wait_until(lambda: len(connections) == 2)

    left: list[OutboxMessage] = await outbox_rows(empty_database)
    assert [(row.attempts, row.leased_until, row.dead_at) for row in left] == [(0, None, None)] * 5, worker.log_text
    assert [row.sent_at is None for row in left] == [True, True, False, False, False]
    assert worker.log_text.count("job released, worker is stopping") == 2
    for _, writer in connections:
        writer.close()
    server.close()
    delete_keys(broker)
    broker.client.close()
