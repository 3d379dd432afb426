"""Deletion of expired rows, in batches."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import MetaData, event
from sqlmodel import Field, col, delete, select

from app.db import expiry
from app.db.base import Base, UtcDateTime, utc_now
from app.db.expiry import delete_expired
from app.db.idempotency import IdempotencyKey
from app.db.session import Database, transaction

TABLE = "idempotency_key"


@pytest.fixture
async def database_with_expired_keys(committing_database: Database) -> AsyncGenerator[Database]:
    """A database with five expired keys and a valid one."""
    async with transaction(committing_database.write) as session:
        for name, hours in (*((f"old {number}", -1) for number in range(5)), ("new", 1)):
            session.add(IdempotencyKey(id=name, fingerprint="", expires_at=utc_now() + timedelta(hours=hours)))
    yield committing_database
    async with transaction(committing_database.write) as session:
        await session.exec(delete(IdempotencyKey).where(col(IdempotencyKey.id) != ""))


async def stored_keys(database: Database) -> list[str]:
    async with transaction(database.read_transaction) as session:
        return sorted((await session.exec(select(IdempotencyKey.id))).all())


async def test_expired_rows_are_deleted(database_with_expired_keys: Database) -> None:
    assert [batch async for batch in delete_expired(database_with_expired_keys)] == [(TABLE, 5)]
    assert [batch async for batch in delete_expired(database_with_expired_keys)] == []
    assert await stored_keys(database_with_expired_keys) == ["new"]


async def test_expired_rows_are_deleted_in_batches(database_with_expired_keys: Database) -> None:
    assert [batch async for batch in delete_expired(database_with_expired_keys, batch_size=2)] == [
        (TABLE, 2),
        (TABLE, 2),
        (TABLE, 1),
    ]
    assert await stored_keys(database_with_expired_keys) == ["new"]


async def test_deleted_rows_stay_deleted_after_an_interruption(database_with_expired_keys: Database) -> None:
    deletions = 0

    def cancel_second_batch(_: Any, __: Any, statement: str, *___: Any) -> None:
        nonlocal deletions
        deletions += statement.startswith("DELETE FROM idempotency_key")
        if deletions == 2:
            raise asyncio.CancelledError

    engine = database_with_expired_keys.write.kw["bind"].sync_engine
    event.listen(engine, "after_cursor_execute", cancel_second_batch)
    try:
        with pytest.raises(asyncio.CancelledError):
            [batch async for batch in delete_expired(database_with_expired_keys, batch_size=2)]
    finally:
        event.remove(engine, "after_cursor_execute", cancel_second_batch)

    assert len(await stored_keys(database_with_expired_keys)) == 4
    assert [batch async for batch in delete_expired(database_with_expired_keys)] == [(TABLE, 3)]


class OtherBase(Base):
    metadata = MetaData()


class ExpiringCode(OtherBase):
    """A class without a table."""

    expires_at: datetime = Field(sa_type=UtcDateTime)


class Code(ExpiringCode, table=True):
    """A table whose primary key has two columns."""

    owner: str = Field(primary_key=True)
    number: int = Field(primary_key=True)


async def test_valid_rows_with_the_same_first_key_column_are_kept(
    committing_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "Expiring", SimpleNamespace(__subclasses__=lambda: [ExpiringCode]))
    async with transaction(committing_database.write) as session:
        await (await session.connection()).run_sync(OtherBase.metadata.create_all)
        session.add_all(
            Code(owner="ada", number=hours, expires_at=utc_now() + timedelta(hours=hours)) for hours in (-2, -1, 1)
        )

    assert [batch async for batch in delete_expired(committing_database, batch_size=1)] == [("code", 2)]
    async with transaction(committing_database.write) as session:
        assert (await session.exec(select(Code.number))).all() == [1]
        await (await session.connection()).run_sync(OtherBase.metadata.drop_all)
