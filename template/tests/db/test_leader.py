"""One leads, and when it is gone another one does."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.db import leader
from app.db.leader import leading
from app.db.session import Database, transaction
from tests.waiting import until


async def has_locks(database: Database) -> bool:
    async with transaction(database.readers) as session:
        return (await session.connection()).dialect.name == "postgresql"


async def can_lead(database: Database) -> bool:
    async with leading(database) as leadership:
        return leadership is not None


async def test_of_two_one_leads_where_there_are_locks(live_database: Database) -> None:
    locks = await has_locks(live_database)
    async with leading(live_database) as first, leading(live_database) as second:
        assert first is not None
        assert (second is None) is locks

    async with leading(live_database) as third:
        assert third is not None


async def test_a_leader_keeps_leading_as_long_as_it_says_so(live_database: Database) -> None:
    async with leading(live_database) as leadership:
        assert leadership is not None
        for _ in range(3):
            await leadership.confirm()


async def test_whoever_is_silent_loses_it(live_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is frozen, or a machine that has gone: nobody closes its connection but the server."""
    if not await has_locks(live_database):
        pytest.skip("SQLite has no such locks")
    monkeypatch.setitem(leader.LOCK, "postgresql", leader.LOCK["postgresql"].replace("15s", "100ms"))

    async def freeze() -> None:
        async with leading(live_database) as frozen:
            assert frozen is not None
            await until(lambda: can_lead(live_database))
            await frozen.confirm()

    with pytest.raises(SQLAlchemyError):
        await freeze()


async def test_whoever_is_cut_off_notices(live_database: Database) -> None:
    if not await has_locks(live_database):
        pytest.skip("SQLite has no connections to cut")
    held = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 5209272"

    async def be_cut_off() -> None:
        async with leading(live_database) as leadership:
            assert leadership is not None
            async with transaction(live_database.writers) as session:
                await (await session.connection()).execute(text(held))
            await leadership.confirm()

    with pytest.raises(SQLAlchemyError):
        await be_cut_off()
