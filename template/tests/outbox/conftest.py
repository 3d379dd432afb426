"""Outbox messages, and a relay that records them."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, delete, select, update

from app.db.session import Database, transaction
from app.outbox.models import OutboxEvent
from app.outbox.relay import Relay, Unavailable
from app.outbox.repository import OutboxRepository


@pytest.fixture
async def outbox(live_database: Database) -> AsyncGenerator[Database]:
    """A database with real commits, and an outbox that is empty before and after."""
    await forget_all(live_database)
    yield live_database
    await forget_all(live_database)


async def forget_all(database: Database) -> None:
    async with transaction(database.writers) as session:
        await session.exec(delete(OutboxEvent))


def event(name: str, **fields: Any) -> OutboxEvent:
    return OutboxEvent(**({"destination": "workers", "queue": "default", "name": name, "payload": "{}"} | fields))


async def add(database: Database, *events: OutboxEvent) -> None:
    """Commit messages, in this order."""
    async with transaction(database.writers) as session:
        for each in events:
            OutboxRepository(session).add(each)
            await session.flush()


class Taking(Relay):
    """A relay that records and deletes all messages."""

    def __init__(self, database: Database, poll_seconds: float = 0.01) -> None:
        super().__init__(database, poll_seconds)
        self.taken: list[str] = []
        self.errors: list[Exception] = []

    async def run_once(self, look: bool = True) -> int:
        if self.errors:
            raise self.errors[0] if isinstance(self.errors[0], Unavailable) else self.errors.pop()
        async with transaction(self.database.writers) as session:
            found = (await session.exec(select(OutboxEvent).order_by(col(OutboxEvent.number)))).all()
            for row in found:
                await session.delete(row)
        self.taken.extend(row.name for row in found)
        return len(found)


@pytest.fixture
def taking(outbox: Database) -> Taking:
    return Taking(outbox)


async def rows(database: Database) -> list[OutboxEvent]:
    async with transaction(database.readers) as session:
        return list((await session.exec(select(OutboxEvent).order_by("number"))).all())


async def later(database: Database, seconds: float) -> None:
    """Shift timestamps into the past, as if time had passed."""
    async with transaction(database.writers) as session:
        for row in await rows(database):
            moved = {
                name: moment - timedelta(seconds=seconds)
                for name in ("sent_at", "taken_until", "next_attempt_at")
                if (moment := getattr(row, name)) is not None
            }
            if moved:
                await session.exec(update(OutboxEvent).where(col(OutboxEvent.number) == row.number).values(**moved))
