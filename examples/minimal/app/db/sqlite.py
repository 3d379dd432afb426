"""SQLite as a production database: settings, engines, and constraint names of errors.

One connection writes, several read (write-ahead log). Writers of this process wait for that
connection; writers of other processes wait for the file lock, up to the busy timeout.
docs/sqlite.md describes the limits.
"""

import re
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict
from sqlalchemy import URL, Connection, ExceptionContext, UniqueConstraint, event, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.core.config import Environment, EnvSettings
from app.db.base import Base
from app.db.session import Database

EXAMPLE_URL = "sqlite+aiosqlite:////data/app.db"
DEVELOPMENT_URL = "sqlite+aiosqlite:///.data/app.db"


class DatabaseSettings(EnvSettings):
    """The database file, and limits on waiting for it."""

    model_config = SettingsConfigDict(env_prefix="DATABASE_")

    url: str | None = Field(default=None, description="Default in development: .data/app.db.")
    readers: int = Field(default=8, ge=1, description="Number of concurrent read connections.")
    pool_timeout_seconds: float = Field(default=5, gt=0, description="Maximum wait for a connection, then 503.")
    busy_timeout_ms: int = Field(default=5_000, ge=0, description="Maximum wait for another process to finish writing.")

    @model_validator(mode="after")
    def _require_usable_url(self) -> "DatabaseSettings":
        """Reject an invalid URL before a file is opened."""
        if self.url is None and self.env is not Environment.DEV:
            raise ValueError(f"DATABASE_URL: must be set. Example: {EXAMPLE_URL}")
        database_url(self)
        return self


def database_url(settings: DatabaseSettings) -> URL:
    """Return the URL of the file.

    Raises:
        ValueError: If it is not the URL of a SQLite file.
    """
    try:
        url = make_url(settings.url or DEVELOPMENT_URL)
    except ArgumentError:
        raise ValueError(f"DATABASE_URL: is not a URL. Example: {EXAMPLE_URL}") from None
    if url.drivername not in ("sqlite", "sqlite+aiosqlite"):
        raise ValueError(f"DATABASE_URL: {url.drivername} is not SQLite. Example: {EXAMPLE_URL}")
    if not url.database or url.database == ":memory:":
        raise ValueError(f"DATABASE_URL: must name a file. Example: {EXAMPLE_URL}")
    return url.set(drivername="sqlite+aiosqlite")


def migration_engine(settings: DatabaseSettings) -> AsyncEngine:
    """Create the engine for migrations.

    SQLite changes a table by copying it and dropping the old one. With foreign keys enabled, this
    would delete the rows that reference it. `alembic/env.py` checks foreign keys afterwards.
    A process waits up to ten minutes while another one migrates.
    """
    return _writing_engine(settings.model_copy(update={"busy_timeout_ms": 600_000}), foreign_keys=False)


def _writing_engine(settings: DatabaseSettings, foreign_keys: bool = True) -> AsyncEngine:
    """Create the write engine. It has one connection, because SQLite allows one writer."""
    url = database_url(settings)
    if settings.env is Environment.DEV:
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    return _engine(url, settings, connections=1, begin="BEGIN IMMEDIATE", foreign_keys=foreign_keys)


def _reading_engine(settings: DatabaseSettings, connections: int) -> AsyncEngine:
    """Create an engine that opens the file in read-only mode."""
    url = database_url(settings)
    readonly = url.set(database=f"file:{quote(str(url.database))}", query={"mode": "ro", "uri": "true"})
    return _engine(readonly, settings, connections=connections, begin="BEGIN")


def _engine(
    url: URL, settings: DatabaseSettings, connections: int, begin: str, foreign_keys: bool = True
) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=settings.pool_timeout_seconds,
        hide_parameters=settings.env is Environment.PROD,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # The listener below begins transactions, not the driver.
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {settings.busy_timeout_ms}")
        if begin == "BEGIN IMMEDIATE":
            cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        cursor.close()

    # A plain BEGIN acquires the write lock at the first write, which fails immediately if another
    # process has written in the meantime. BEGIN IMMEDIATE acquires it now, and waits for it.
    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    @event.listens_for(engine.sync_engine, "handle_error")
    def _report_wrong_sql(context: ExceptionContext) -> ProgrammingError | None:
        """Raise the class of error that other databases use for wrong SQL. SQLite reports it like an outage."""
        error = context.original_exception
        if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR:
            return None
        return ProgrammingError(context.statement, context.parameters, error, settings.env is Environment.PROD)

    return engine


@asynccontextmanager
async def open_database(settings: DatabaseSettings) -> AsyncGenerator[Database]:
    """Open the file, with one write connection, several read connections and one for the health check."""
    writing, probing = _writing_engine(settings), _reading_engine(settings, 1)
    reading = _reading_engine(settings, settings.readers)
    try:
        yield Database.from_engines(writing, reading, reading, probing)
    finally:
        for engine in (probing, reading, writing):
            await engine.dispose()


def constraint_name(error: IntegrityError) -> str | None:
    """Return the name of the violated constraint.

    For a unique constraint or index, SQLite reports only the columns ("UNIQUE constraint failed: user_account.email"),
    so the name is looked up by the columns. For a foreign key it reports nothing.
    """
    kind, _, failed = str(error.orig).partition(" constraint failed")
    failed = failed.removeprefix(": ")
    if kind == "FOREIGN KEY":
        return _only_foreign_key(error.statement or "")
    if kind == "CHECK":
        return failed
    table = Base.metadata.tables.get(failed.partition(".")[0]) if kind == "UNIQUE" else None
    if table is None:
        return None
    columns = {name.rpartition(".")[2] for name in failed.split(", ")}
    unique = [each for each in table.constraints if isinstance(each, UniqueConstraint)]
    indexes = [each for each in table.indexes if each.unique]
    return next(
        (str(each.name) for each in (*unique, *indexes) if {column.name for column in each.columns} == columns), None
    )


def _only_foreign_key(statement: str) -> str | None:
    """Return the name of the foreign key that an INSERT has violated, if its table has only one."""
    insert_into = re.match(r'INSERT INTO "?(\w+)', statement)
    keys = Base.metadata.tables[insert_into[1]].foreign_key_constraints if insert_into else ()
    return str(next(iter(keys)).name) if len(keys) == 1 else None


def is_unavailable(error: Exception) -> bool:
    """Return whether the file cannot be opened, or other connections are using it for too long."""
    return isinstance(error, OperationalError | InterfaceError | PoolTimeoutError)
