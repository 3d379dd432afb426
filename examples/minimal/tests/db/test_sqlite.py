"""SQLite with production settings."""

import asyncio
from pathlib import Path

import pytest
from httpx2 import ASGITransport, AsyncClient
from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, insert, text
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.config import ConfigurationError, Environment, load
from app.db import migrations, sqlite
from app.db.base import Base
from app.db.session import Database, transaction
from app.main import create_app
from app.modules.user.models import User
from tests.conftest import run_in_thread
from tests.waiting import TIMEOUT_SECONDS, wait_until_ready


@pytest.fixture
def settings(tmp_path: Path) -> sqlite.DatabaseSettings:
    return sqlite.DatabaseSettings(env=Environment.TEST, url=f"sqlite:///{tmp_path}/app.db", busy_timeout_ms=50)


async def pragma(session: AsyncSession, name: str) -> object:
    return (await (await session.connection()).execute(text(f"PRAGMA {name}"))).scalar()


async def read_version(database: Database) -> object:
    async with transaction(database.write) as session:
        return await pragma(session, "user_version")


async def test_connections_have_pragmas_set(committing_database: Database) -> None:
    async with transaction(committing_database.write) as session:
        assert await pragma(session, "journal_mode") == "wal"
        assert await pragma(session, "foreign_keys") == 1
        assert await pragma(session, "busy_timeout") == load(sqlite.DatabaseSettings).busy_timeout_ms
        assert await pragma(session, "synchronous") == 1
    async with transaction(committing_database.read_transaction) as session:
        assert await pragma(session, "busy_timeout") == load(sqlite.DatabaseSettings).busy_timeout_ms


async def test_readers_do_not_wait_for_a_writer(committing_database: Database) -> None:
    async with transaction(committing_database.write) as writing:
        await pragma(writing, "user_version")
        async with asyncio.timeout(TIMEOUT_SECONDS), transaction(committing_database.read_transaction) as reading:
            assert await pragma(reading, "user_version") == 0


async def test_second_process_waits_until_busy_timeout(settings: sqlite.DatabaseSettings) -> None:
    async with (
        sqlite.open_database(settings) as one,
        sqlite.open_database(settings) as other,
        transaction(one.write) as session,
    ):
        await pragma(session, "user_version")
        with pytest.raises(OperationalError, match="locked"):
            await read_version(other)


async def test_migrations_wait_for_each_other_beyond_busy_timeout(settings: sqlite.DatabaseSettings) -> None:
    engine = sqlite.migration_engine(settings)
    async with engine.connect() as connection:
        assert (await connection.execute(text("PRAGMA busy_timeout"))).scalar() == 600_000
    await engine.dispose()


async def test_folder_is_created_in_development(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = sqlite.DatabaseSettings(env=Environment.DEV, url=None)
    async with sqlite.open_database(settings) as database, transaction(database.write) as session:
        await pragma(session, "user_version")
    assert (tmp_path / ".data/app.db").is_file()


async def test_service_starts_without_the_file_and_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/a #b%20c.db")
    app = create_app()
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=ASGITransport(app), base_url="http://test") as client,
    ):
        away = await client.get("/health/ready")
        run_in_thread(migrations.upgrade)
        await wait_until_ready(client)

    assert (away.status_code, away.json()["checks"]["database"]) == (503, "unavailable")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (None, "must be set"),
        ("nonsense", "is not a URL"),
        ("postgresql://localhost/app", "postgresql is not SQLite"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
    ],
)
def test_invalid_url_is_rejected(monkeypatch: pytest.MonkeyPatch, url: str | None, said: str) -> None:
    monkeypatch.delenv("DATABASE_URL")
    if url is not None:
        monkeypatch.setenv("DATABASE_URL", url)

    with pytest.raises(ConfigurationError, match=f"DATABASE_URL: {said}"):
        load(sqlite.DatabaseSettings)


@pytest.mark.parametrize(
    ("change", "name"),
    [({"name": "Eve"}, "uq_user_account_email"), ({"email": None}, None)],
)
async def test_unique_constraint_is_identified(
    session: AsyncSession, change: dict[str, str | None], name: str | None
) -> None:
    ada = {"email": "ada@example.com", "name": "Ada"}
    await session.exec(insert(User).values(ada))

    with pytest.raises(IntegrityError) as caught:
        await session.exec(insert(User).values(ada | change))
    assert sqlite.constraint_name(caught.value) == name


def test_other_constraint_is_not_identified() -> None:
    error = IntegrityError("INSERT", None, Exception("NOT NULL constraint failed: user_account.email"))

    assert sqlite.constraint_name(error) is None


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("INSERT INTO idempotency_key (id) VALUES (?)", None),
        ("DELETE FROM user_account", None),
        ("INSERT INTO referring (id) VALUES (?)", "fk_referring_user_id"),
    ],
)
def test_foreign_key_is_identified_if_it_is_the_only_one(statement: str, name: str | None) -> None:
    table = Table("referring", Base.metadata, Column("user_id", ForeignKey("user_account.id")))
    try:
        error = IntegrityError(statement, None, Exception("FOREIGN KEY constraint failed"))
        assert sqlite.constraint_name(error) == name
    finally:
        Base.metadata.remove(table)


@pytest.mark.parametrize(
    ("error", "unavailable"),
    [
        (OperationalError("SELECT 1", {}, OSError("database is locked")), True),
        (InterfaceError("SELECT 1", {}, OSError("closed")), True),
        (PoolTimeoutError("all in use"), True),
        (ValueError("no"), False),
    ],
    ids=str,
)
def test_unavailable_database_is_recognized(error: Exception, unavailable: bool) -> None:
    assert sqlite.is_unavailable(error) is unavailable


async def test_wrong_sql_is_no_outage(settings: sqlite.DatabaseSettings) -> None:
    async with sqlite.open_database(settings) as database:
        with pytest.raises(ProgrammingError, match="no such column"):
            async with transaction(database.write) as session:
                await (await session.connection()).exec_driver_sql("SELECT missing")


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("UNIQUE constraint failed: thing.name", "uq_thing_name"),
        ("UNIQUE constraint failed: thing.place, thing.number", "ix_thing_place"),
        ("UNIQUE constraint failed: thing.number", None),
        ("UNIQUE constraint failed: missing.number", None),
        ("CHECK constraint failed: ck_thing_positive", "ck_thing_positive"),
        ("NOT NULL constraint failed: thing.name", None),
    ],
)
def test_name_of_violated_constraint_is_found(message: str, name: str | None) -> None:
    table = Table(
        "thing",
        Base.metadata,
        Column("name", String, unique=True),
        Column("place", String),
        Column("number", Integer),
        Index("ix_thing_place", "place", "number", unique=True),
    )
    try:
        assert sqlite.constraint_name(IntegrityError("INSERT", {}, Exception(message))) == name
    finally:
        Base.metadata.remove(table)
