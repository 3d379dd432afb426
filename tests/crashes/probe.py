# ty: ignore[import-not-found]
"""A module for the crash tests that records jobs and their effects. `project.py` copies it into a rendered project.

The transaction that enqueues a job also inserts a row; the transaction of the task inserts another one.
"""

import asyncio
import os
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from types import SimpleNamespace
from typing import Self

from app.core.runtime import Feature, Runtime
from app.db import base
from app.db.session import SessionDep
from app.jobs.task import Job, task
from app.jobs.task import non_transactional_task as outside
from app.outbox import poller
from app.outbox.models import MessageState, OutboxMessage
from app.outbox.repository import OutboxRepository
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel
from sqlmodel import Field, col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

FOLDER = Path(os.environ.get("PROBE_FOLDER", "."))
CLOCK = FOLDER / "clock"  # seconds by which the clock of processes with PROBE_CLOCK is wrong
ATTEMPTS = 1000  # each kill uses one
SECONDS = 3.0  # time limit of a task

router = APIRouter(prefix="/probe")


class Requested(base.Base, table=True):
    """A job that was enqueued in the same transaction."""

    __tablename__ = "probe_requested"

    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    kind: str
    key: str | None


class Effect(base.Base, table=True):
    """An effect of a task. Numbers are not unique, so that the tests can count duplicates."""

    __tablename__ = "probe_effect"

    id: int | None = Field(default=None, primary_key=True)
    number: int


@task(max_attempts=ATTEMPTS, timeout_seconds=SECONDS)
async def record(session: AsyncSession, *, number: int, pause: float = 0, text: str = "") -> None:
    """Insert a row, with time to be killed before the commit."""
    write_trace("started", number)
    session.add(Effect(number=number + len(text)))
    await session.flush()
    await asyncio.sleep(pause)


@task(max_attempts=ATTEMPTS, timeout_seconds=SECONDS, key="key")
async def record_in_order(session: AsyncSession, *, number: int, key: str, pause: float = 0) -> None:
    """Insert a row; jobs of one key run in order."""
    assert key
    await record.function(session, number=number, pause=pause)


@outside(max_attempts=ATTEMPTS, timeout_seconds=SECONDS)
async def record_outside(job: Job, *, number: int, pause: float = 0) -> None:
    """Append a line to a file."""
    assert job.attempt
    write_trace("started", number)
    await asyncio.sleep(pause)
    write_trace("outside", number)


@task(max_attempts=2, timeout_seconds=1)
async def kill_worker(session: AsyncSession) -> None:
    """Kill the worker."""
    assert session
    os._exit(1)


@task(max_attempts=2, timeout_seconds=1)
async def never_end(session: AsyncSession) -> None:
    """Wait forever."""
    assert session
    await asyncio.Event().wait()


@task(max_attempts=2, timeout_seconds=1)
async def hang(session: AsyncSession, *, number: int) -> None:
    """Block the event loop of the worker forever, within a transaction."""
    assert session
    write_trace("hanging", number)
    time.sleep(100_000)  # noqa: ASYNC251 - the mistake that is tested


if "PROBE_NEW" in os.environ:

    @task(max_attempts=ATTEMPTS)
    async def new_task(session: AsyncSession, *, number: int) -> None:
        """Insert a row; only workers of a later version have this task."""
        await record.function(session, number=number)


class JobRequest(BaseModel):
    """A job to enqueue."""

    kind: str
    number: int
    key: str | None = None
    pause: float = 0
    size: int = 0


@router.post("", status_code=201)
async def submit(session: SessionDep, requests: list[JobRequest]) -> None:
    """Enqueue jobs, and record them."""
    for request in requests:
        session.add(Requested(number=request.number, kind=request.kind, key=request.key))
        enqueue(session, request)


def enqueue(session: AsyncSession, request: JobRequest) -> None:
    """Enqueue one job."""
    number, pause = request.number, request.pause
    match request.kind:
        case "record" if request.size:
            record.enqueue(session, number=number - request.size, text="x" * request.size)
        case "record":
            record.enqueue(session, number=number, pause=pause)
        case "record_in_order":
            record_in_order.enqueue(session, number=number, key=request.key or "", pause=pause)
        case "record_outside":
            record_outside.enqueue(session, number=number, pause=pause)
        case "new_task":
            new_task.enqueue(session, number=number)
        case "hang":
            hang.enqueue(session, number=number)
        case other:
            {"kill_worker": kill_worker, "never_end": never_end}[other].enqueue(session)


@router.get("/waiting")
async def waiting(session: SessionDep) -> dict[str, int]:
    """Count the rows of the outbox by their state."""
    found = await OutboxRepository(session).count_messages()
    return {state: sum(count for (_, each), (count, _) in found.items() if each == state) for state in MessageState}


@router.delete("/")
async def clear_outbox(session: SessionDep) -> None:
    """Empty the outbox."""
    await session.exec(delete(OutboxMessage))


@router.get("/ledger")
async def ledger(session: SessionDep, first: int) -> dict[str, list[list[object]]]:
    """Return the jobs from a number on, and the effects in the order in which they were committed."""
    requested = (await session.exec(select(Requested).where(col(Requested.number) >= first))).all()
    effects = (await session.exec(select(Effect).where(col(Effect.number) >= first).order_by("id"))).all()
    return {
        "requested": [[row.number, row.kind, row.key] for row in requested],
        "effects": [[row.number] for row in effects],
    }


def write_trace(name: str, number: int) -> None:
    """Append a line; such a short write is atomic."""
    file = os.open(FOLDER / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, f"{number} {os.getpid()} {time.time()}\n".encode())
    os.close(file)


def clock_error() -> timedelta:
    """Return the error of this process's clock."""
    return timedelta(seconds=float(CLOCK.read_text() or 0) if CLOCK.exists() else 0)


class WrongClock(datetime):
    """The clock of `utc_now`, with the error added."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + clock_error()


if "PROBE_CLOCK" in os.environ:
    base.datetime = WrongClock
    poller.time = SimpleNamespace(time=lambda: time.time() + clock_error().total_seconds(), monotonic=time.monotonic)


def setup(app: FastAPI, _: Runtime) -> None:
    """Add the routes."""
    app.include_router(router)


feature = Feature(setup=setup)
