# ty: ignore[import-not-found]
"""A module that leaves traces, for the crash tests: `project.py` puts it into a rendered project.

What was asked for is a row of the same transaction as the job, what was done is a row of the task's transaction.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from types import SimpleNamespace
from typing import Self

from app.db import base
from app.db.session import SessionDep
from app.outbox import relay
from app.outbox.models import OutboxEvent
from app.outbox.repository import OutboxRepository
from app.workers.task import Job, task
from app.workers.task import outside_task as outside
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel
from sqlmodel import Field, col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

FOLDER = Path(os.environ.get("PROBE_FOLDER", "."))
CLOCK = FOLDER / "clock"  # by how many seconds the clock is wrong, for whoever has PROBE_CLOCK
ATTEMPTS = 1000  # each kill counts as one
SECONDS = 3.0  # so long a task may take

router = APIRouter(prefix="/probe")


class Asked(base.Base, table=True):
    """A job that was enqueued in the same transaction."""

    __tablename__ = "probe_asked"

    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    kind: str
    key: str | None


class Effect(base.Base, table=True):
    """What a task did. Nothing keeps a second one of the same number away: the test counts."""

    __tablename__ = "probe_effect"

    id: int | None = Field(default=None, primary_key=True)
    number: int


@task(attempts=ATTEMPTS, seconds=SECONDS)
async def note(session: AsyncSession, *, number: int, pause: float = 0, text: str = "") -> None:
    """Leave a row, with time to be killed before the commit."""
    write("started", number)
    session.add(Effect(number=number + len(text)))
    await session.flush()
    await asyncio.sleep(pause)


@task(attempts=ATTEMPTS, seconds=SECONDS, key="key")
async def note_in_turn(session: AsyncSession, *, number: int, key: str, pause: float = 0) -> None:
    """Leave a row, one after the other for each key."""
    assert key
    await note.function(session, number=number, pause=pause)


@outside(attempts=ATTEMPTS, seconds=SECONDS)
async def note_outside(job: Job, *, number: int, pause: float = 0) -> None:
    """Leave a line in a file."""
    assert job.attempt
    write("started", number)
    await asyncio.sleep(pause)
    write("outside", number)


@task(attempts=2, seconds=1)
async def kill_worker(session: AsyncSession) -> None:
    """Take the worker along."""
    assert session
    os._exit(1)


@task(attempts=2, seconds=1)
async def never_end(session: AsyncSession) -> None:
    """Wait for ever."""
    assert session
    await asyncio.Event().wait()


@task(attempts=2, seconds=1)
async def hang(session: AsyncSession, *, number: int) -> None:
    """Let the whole worker wait for ever, in the middle of a transaction."""
    assert session
    write("hanging", number)
    time.sleep(100_000)  # noqa: ASYNC251 - that is the mistake


if "PROBE_NEW" in os.environ:

    @task(attempts=ATTEMPTS)
    async def new_task(session: AsyncSession, *, number: int) -> None:
        """Do what only those know that are deployed later."""
        await note.function(session, number=number)


class Order(BaseModel):
    """One job."""

    kind: str
    number: int
    key: str | None = None
    pause: float = 0
    size: int = 0


@router.post("", status_code=201)
async def ask(session: SessionDep, orders: list[Order]) -> None:
    """Enqueue jobs, and remember which."""
    for order in orders:
        session.add(Asked(number=order.number, kind=order.kind, key=order.key))
        enqueue(session, order)


def enqueue(session: AsyncSession, order: Order) -> None:
    """Enqueue one job."""
    number, pause = order.number, order.pause
    match order.kind:
        case "note" if order.size:
            note.enqueue(session, number=number - order.size, text="x" * order.size)
        case "note":
            note.enqueue(session, number=number, pause=pause)
        case "note_in_turn":
            note_in_turn.enqueue(session, number=number, key=order.key or "", pause=pause)
        case "note_outside":
            note_outside.enqueue(session, number=number, pause=pause)
        case "new_task":
            new_task.enqueue(session, number=number)
        case "hang":
            hang.enqueue(session, number=number)
        case bad:
            {"kill_worker": kill_worker, "never_end": never_end}[bad].enqueue(session)


@router.get("/waiting")
async def waiting(session: SessionDep) -> dict[str, int]:
    """Count the rows of the outbox by their state."""
    return {state: count for state, (count, _) in (await OutboxRepository(session).counts()).items()}


@router.delete("/")
async def forget(session: SessionDep) -> None:
    """Empty the outbox."""
    await session.exec(delete(OutboxEvent))


@router.get("/ledger")
async def ledger(session: SessionDep, first: int) -> dict[str, list[list[object]]]:
    """Tell what was asked for from a number on, and what was done, in the order in which it was done."""
    asked = (await session.exec(select(Asked).where(col(Asked.number) >= first))).all()
    effects = (await session.exec(select(Effect).where(col(Effect.number) >= first).order_by("id"))).all()
    return {
        "asked": [[row.number, row.kind, row.key] for row in asked],
        "effects": [[row.number] for row in effects],
    }


def write(name: str, number: int) -> None:
    """Append a line; so short a one is written whole, or not at all."""
    file = os.open(FOLDER / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, f"{number} {os.getpid()} {time.time()}\n".encode())
    os.close(file)


def error() -> timedelta:
    """Return by how much the clock of this process is wrong."""
    return timedelta(seconds=float(CLOCK.read_text() or 0) if CLOCK.exists() else 0)


class WrongClock(datetime):
    """What tells the time in `utc_now`."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        """Tell the wrong time."""
        return super().now(tz) + error()


if "PROBE_CLOCK" in os.environ:
    base.datetime = WrongClock
    relay.time = SimpleNamespace(time=lambda: time.time() + error().total_seconds(), monotonic=time.monotonic)


def prepare_development() -> None:
    """Nothing."""


def setup(app: FastAPI) -> None:
    """Add the routes."""
    app.include_router(router)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    """Open nothing."""
    yield
