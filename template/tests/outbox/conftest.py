"""Rows in the outbox, and somebody who takes them."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlmodel import col, delete, select, update

from app.db.base import utc_now
from app.db.session import Database, transaction
from app.outbox.models import OutboxEvent
from app.outbox.relay import Relay, Unavailable
from app.outbox.repository import OutboxRepository


class Shelf:
    """A destination that keeps what it gets, until somebody clears it."""

    name = "shelf"

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.held: set[UUID] = set()
        self.away = False

    async def send(self, events: Sequence[OutboxEvent]) -> None:
        if self.away:
            raise Unavailable("nobody there")
        self.sent.extend(event.name for event in events)
        self.held |= {event.id for event in events}

    async def holding(self, events: Sequence[OutboxEvent]) -> set[UUID]:
        return {event.id for event in events} & self.held


@pytest.fixture
async def outbox(live_database: Database) -> AsyncGenerator[Database]:
    """A database with real commits, and an outbox that is empty before and after."""
    await forget_all(live_database)
    yield live_database
    await forget_all(live_database)


async def forget_all(database: Database) -> None:
    async with transaction(database.writers) as session:
        await session.exec(delete(OutboxEvent))


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def relay(outbox: Database, shelf: Shelf) -> Relay:
    return Relay(outbox, shelf, poll_seconds=0.01)


def event(name: str, **fields: Any) -> OutboxEvent:
    return OutboxEvent(**({"destination": "shelf", "queue": "default", "name": name, "payload": "{}"} | fields))


async def add(database: Database, *events: OutboxEvent) -> None:
    """Commit rows, in this order."""
    async with transaction(database.writers) as session:
        for each in events:
            OutboxRepository(session).add(each)
            await session.flush()


async def rows(database: Database) -> list[OutboxEvent]:
    async with transaction(database.readers) as session:
        return list((await session.exec(select(OutboxEvent).order_by("number"))).all())


async def change(database: Database, work: Callable[[OutboxRepository], Any]) -> Any:
    """Do something to the rows, in a transaction of its own."""
    async with transaction(database.writers) as session:
        return await work(OutboxRepository(session))


async def take(database: Database, row: OutboxEvent) -> OutboxEvent:
    """Take a row as a worker does."""
    async with transaction(database.writers) as session:
        taken = await OutboxRepository(session).find(row.id)
        assert taken is not None
        taken.attempts += 1
        taken.taken_until = utc_now() + timedelta(seconds=60)
    return taken


async def until(true: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait for something that nobody tells, also on a machine that has much else to do."""
    async with asyncio.timeout(120):
        while not (await answer if isinstance(answer := true(), Awaitable) else answer):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.005)


async def later(database: Database, seconds: float) -> None:
    """Let so much time pass for what was sent or taken."""
    async with transaction(database.writers) as session:
        for row in await rows(database):
            moved = {
                name: moment - timedelta(seconds=seconds)
                for name in ("sent_at", "taken_until", "next_attempt_at")
                if (moment := getattr(row, name)) is not None
            }
            if moved:
                await session.exec(update(OutboxEvent).where(col(OutboxEvent.number) == row.number).values(**moved))
