"""Outbox messages, and a relay that records them."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, delete, select, update

from app.db.session import Database, transaction
from app.outbox.models import OutboxMessage
from app.outbox.poller import DestinationUnavailable, OutboxPoller
from app.outbox.repository import OutboxRepository


@pytest.fixture
async def empty_database(committing_database: Database) -> AsyncGenerator[Database]:
    """A database with real commits, and an outbox that is empty before and after."""
    await delete_messages(committing_database)
    yield committing_database
    await delete_messages(committing_database)


async def delete_messages(database: Database) -> None:
    async with transaction(database.write) as session:
        await session.exec(delete(OutboxMessage))


def make_message(name: str, **fields: Any) -> OutboxMessage:
    return OutboxMessage(**({"destination": "workers", "queue": "default", "name": name, "payload": "{}"} | fields))


async def commit_messages(database: Database, *events: OutboxMessage) -> None:
    """Commit messages, in this order."""
    async with transaction(database.write) as session:
        for each in events:
            OutboxRepository(session).add(each)
            await session.flush()


class RecordingPoller(OutboxPoller):
    """A relay that records and deletes all messages."""

    def __init__(self, database: Database, poll_seconds: float = 0.01) -> None:
        super().__init__(database, poll_seconds)
        self.relayed: list[str] = []
        self.errors: list[Exception] = []

    async def run_once(self) -> int:
        if self.errors:
            raise self.errors[0] if isinstance(self.errors[0], DestinationUnavailable) else self.errors.pop()
        async with transaction(self.database.write) as session:
            found = (await session.exec(select(OutboxMessage).order_by(col(OutboxMessage.number)))).all()
            for row in found:
                await session.delete(row)
        self.relayed.extend(row.name for row in found)
        return len(found)


@pytest.fixture
def recording_poller(empty_database: Database) -> RecordingPoller:
    return RecordingPoller(empty_database)


async def outbox_rows(database: Database) -> list[OutboxMessage]:
    async with transaction(database.read_transaction) as session:
        return list((await session.exec(select(OutboxMessage).order_by("number"))).all())


async def shift_timestamps(database: Database, seconds: float) -> None:
    """Shift timestamps into the past, as if time had passed."""
    async with transaction(database.write) as session:
        for row in await outbox_rows(database):
            moved = {
                name: moment - timedelta(seconds=seconds)
                for name in ("sent_at", "leased_until", "next_attempt_at")
                if (moment := getattr(row, name)) is not None
            }
            if moved:
                await session.exec(update(OutboxMessage).where(col(OutboxMessage.number) == row.number).values(**moved))
