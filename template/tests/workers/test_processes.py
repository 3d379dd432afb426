"""Background processes: each serves health checks, and together they run a job."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlmodel import select

from app import tasks
from app.db.session import Database, transaction
from app.mail import Mail, send_after_commit
from app.main import create_app
from app.outbox.models import OutboxEvent
from app.relay import create_relay
from app.workers.broker import RedisDestination, make_broker
from app.workers.models import ScheduleTick
from app.workers.purge import purge_expired
from app.workers.relay import JobRelay
from tests.outbox.conftest import rows
from tests.outbox.processes import process, running, running_tasks
from tests.waiting import until, until_ready
from tests.workers.conftest import forget, settings_for

NOBODY_THERE = "redis://ada:hunter2@127.0.0.1:1/0"
BOTH = {"database": "ok", "redis": "ok"}


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTBOX_POLL_SECONDS", "0.01")


async def enqueue(database: Database) -> None:
    """Enqueue a job that finds nothing to delete."""
    async with transaction(database.writers) as session:
        purge_expired.enqueue(session)


async def is_done(database: Database) -> bool:
    return not await rows(database)


async def is_sent(database: Database) -> bool:
    return all(row.sent_at for row in await rows(database))


async def has_begun(database: Database) -> bool:
    """Return whether a scheduler has started the schedule."""
    return "purge_expired" in await ticks(database)


async def ticks(database: Database) -> list[str]:
    async with transaction(database.readers) as session:
        return list((await session.exec(select(ScheduleTick.name))).all())


def test_api_process_does_not_import_redis(imported: set[str]) -> None:
    assert "app.workers.processes" in imported
    assert not {"dramatiq", "redis"} & imported


async def test_without_redis_api_process_runs_everything(jobs: Database) -> None:
    async with running(create_app) as client:
        await enqueue(jobs)
        await until(lambda: is_done(jobs))
        await until(lambda: has_begun(jobs))
        assert (await until_ready(client))["database"] == "ok"


async def test_relay_is_woken_by_registered_wakers(jobs: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTBOX_POLL_SECONDS", "60")
    wakers: list[asyncio.Event] = []

    @asynccontextmanager
    async def waking(wake: asyncio.Event) -> AsyncGenerator[None]:
        wakers.append(wake)
        yield
        wakers.remove(wake)

    def create() -> FastAPI:
        app = create_app()
        app.state.relay_wakers.append(waking)
        return app

    async with running(create):
        await enqueue(jobs)
        assert wakers
        while await rows(jobs):
            for wake in wakers:
                wake.set()
            await asyncio.sleep(0.01)
    assert wakers == []


@pytest.mark.parametrize(
    ("create", "healthy", "does"),
    [
        (create_app, {"database": "ok"}, set()),
        (tasks.create_worker, BOTH, set()),
        (create_relay, BOTH, {"JobRelay"}),
        (tasks.create_scheduler, {"database": "ok"}, {"Scheduler"}),
    ],
)
async def test_with_redis_each_process_has_its_tasks(
    jobs: Database,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    create: Callable[[], FastAPI],
    healthy: dict[str, str],
    does: set[str],
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    await enqueue(jobs)
    async with running(create) as client:
        assert healthy.items() <= (await until_ready(client)).items()
        if create is create_relay:
            await until(lambda: is_sent(jobs))
        elif create is tasks.create_scheduler:
            await until(lambda: has_begun(jobs))
        assert running_tasks() & {"JobRelay", "Scheduler"} == does

    [row] = await rows(jobs)
    assert (row.sent_at is not None) is (create is create_relay)
    assert bool(await ticks(jobs)) is (create is tasks.create_scheduler)
    forget(make_broker(settings_for(redis_url)))


@pytest.mark.parametrize("create", [tasks.create_worker, create_relay])
async def test_unavailable_redis_fails_health_check(
    jobs: Database,
    monkeypatch: pytest.MonkeyPatch,
    create: Callable[[], FastAPI],
) -> None:
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY_SECS", 0.1)
    monkeypatch.setenv("REDIS_URL", NOBODY_THERE)
    async with running(create) as client:
        health = await client.get("/health")

    assert health.status_code == 503
    assert {"database": "ok", "redis": "unavailable"}.items() <= health.json()["checks"].items()


async def test_processes_run_job_and_stop_on_signal(
    jobs: Database,
    redis_url: str,
    tmp_path: Path,
) -> None:
    async with (
        process("worker", tmp_path, REDIS_URL=redis_url) as worker,
        process("relay", tmp_path, REDIS_URL=redis_url) as relay,
        process("scheduler", tmp_path, REDIS_URL=redis_url) as scheduler,
    ):
        healthy = await asyncio.gather(*(each.checks() for each in (worker, relay, scheduler)))
        await enqueue(jobs)
        await until(lambda: is_done(jobs))

    assert healthy == [BOTH, BOTH, {"database": "ok"}]
    assert await has_begun(jobs)
    assert '"event": "job finished"' in worker.written
    assert '"task": "purge_expired"' in worker.written


async def test_stopped_worker_releases_running_jobs(
    jobs: Database,
    redis_url: str,
    tmp_path: Path,
) -> None:
    waiting: list[Any] = []

    async def never_answer(*connection: Any) -> None:
        waiting.append(connection)

    server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    mail_server = {
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(server.sockets[0].getsockname()[1]),
        "SMTP_TLS": "none",
        "SMTP_SENDER": "a@example.com",
    }
    async with transaction(jobs.writers) as session:
        for number in range(5):
            send_after_commit(session, Mail("ada@example.com", str(number), "Hello", "<p>Hello</p>"))
    broker = make_broker(settings_for(redis_url))
    await JobRelay(jobs, RedisDestination(broker), poll_seconds=1).run_once()
    limits = {"WORKER_JOBS": "2", "WORKER_STOP_SECONDS": "1", "REDIS_URL": redis_url}
    async with process("worker", tmp_path, **limits, **mail_server) as worker:
        await until(lambda: len(waiting) == 2)

    left: list[OutboxEvent] = await rows(jobs)
    assert [(row.attempts, row.taken_until, row.dead_at) for row in left] == [(0, None, None)] * 5, worker.written
    assert [row.sent_at is None for row in left] == [True, True, False, False, False]
    assert worker.written.count("job released, worker is stopping") == 2
    for _, writer in waiting:
        writer.close()
    server.close()
    forget(broker)
    broker.client.close()
