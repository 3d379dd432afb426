"""Leader election."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.db import leader
from app.db.leader import leading
from app.db.session import Database, transaction
from tests.waiting import wait_until


async def has_locks(database: Database) -> bool:
    async with transaction(database.snapshot) as session:
        return (await session.connection()).dialect.name == "postgresql"


async def can_lead(database: Database) -> bool:
    async with leading(database) as leadership:
        return leadership is not None


async def test_only_one_process_is_the_leader(committing_database: Database) -> None:
    locks = await has_locks(committing_database)
    async with leading(committing_database) as first, leading(committing_database) as second:
        assert first is not None
        assert (second is None) is locks

    async with leading(committing_database) as third:
        assert third is not None


async def test_leader_keeps_the_lock(committing_database: Database) -> None:
    async with leading(committing_database) as leadership:
        assert leadership is not None
        for _ in range(3):
            await leadership.confirm()


async def test_silent_leader_loses_the_lock(committing_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a process freezes or its machine fails, the server closes the connection."""
    if not await has_locks(committing_database):
        pytest.skip("SQLite has no such locks")
    monkeypatch.setitem(leader.LOCK, "postgresql", leader.LOCK["postgresql"].replace("15s", "100ms"))

    async def freeze() -> None:
        async with leading(committing_database) as frozen:
            assert frozen is not None
            await wait_until(lambda: can_lead(committing_database))
            await frozen.confirm()

    with pytest.raises(SQLAlchemyError):
        await freeze()


async def test_leader_detects_a_lost_connection(committing_database: Database) -> None:
    if not await has_locks(committing_database):
        pytest.skip("SQLite has no connections to cut")
    held = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 5209272"

    async def be_cut_off() -> None:
        async with leading(committing_database) as leadership:
            assert leadership is not None
            async with transaction(committing_database.write) as session:
                await (await session.connection()).execute(text(held))
            await leadership.confirm()

    with pytest.raises(SQLAlchemyError):
        await be_cut_off()
