"""PostgreSQL with psycopg 3: settings, engines, and constraint names of errors."""

import select
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict
from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.core.config import Environment, EnvSettings
from app.db.session import Database

EXAMPLE_URL = "postgresql+psycopg://user:password@localhost:5432/app"
# Detect a dead peer (unplugged cable, firewall that drops packets) within ten seconds instead of minutes.
TCP_KEEPALIVE = {"keepalives_idle": 30, "keepalives_interval": 5, "keepalives_count": 2, "tcp_user_timeout": 10_000}
# Connections are read-only and in autocommit mode by default. For reads, a transaction would cost two additional round
# trips without any benefit: with READ COMMITTED, each statement sees the data that was committed when it started.
# Sessions that need a transaction, or need to write, use one of these options.
READ_WRITE = {"isolation_level": "READ COMMITTED", "postgresql_readonly": False}
READ_ONLY = {"isolation_level": "READ COMMITTED", "postgresql_readonly": True}
PLACEHOLDERS = frozenset({"change-me", "changeme", "password", "postgres", "secret"})


class DatabaseSettings(EnvSettings):
    """Connection settings and limits, per process."""

    model_config = SettingsConfigDict(env_prefix="DATABASE_")

    url: SecretStr | None = Field(default=None, description="Default in development: an embedded server.")
    pool_size: int = Field(default=20, ge=1, description="Maximum number of connections; further requests wait.")
    pool_timeout_seconds: float = Field(default=5, gt=0, description="Maximum wait for a connection, then 503.")
    connect_timeout_seconds: int = Field(default=3, ge=2, description="libpq requires at least 2 seconds.")
    statement_timeout_ms: int = Field(default=15_000, ge=1, description="Maximum duration of a statement.")
    lock_timeout_ms: int = Field(default=5_000, ge=1, description="Maximum wait for a lock.")

    @model_validator(mode="after")
    def _require_usable_url(self) -> "DatabaseSettings":
        """Reject an invalid or unsafe URL before anything connects."""
        if self.url is None:
            if self.env is not Environment.DEV:
                raise ValueError(f"DATABASE_URL: must be set. Example: {EXAMPLE_URL}")
            return self
        url = _parse(self.url)
        if self.env is Environment.PROD and url.password in PLACEHOLDERS:
            raise ValueError("DATABASE_URL: the password is a placeholder; set a different one in production")
        return self


def _parse(secret: SecretStr) -> URL:
    """Parse the URL. Errors do not include it, because it contains a password."""
    try:
        url = make_url(secret.get_secret_value())
    except ArgumentError:
        raise ValueError(f"DATABASE_URL: is not a URL. Example: {EXAMPLE_URL}") from None
    if url.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise ValueError(f"DATABASE_URL: {url.drivername} is not PostgreSQL. Example: {EXAMPLE_URL}")
    return url.set(drivername="postgresql+psycopg")


def database_url(settings: DatabaseSettings) -> URL:
    """Return the URL, starting the development server if none is set.

    Raises:
        ConfigurationError: If the development server cannot start.
    """
    if settings.url is not None:
        return _parse(settings.url)
    from app.db import embedded  # noqa: PLC0415 - a development dependency

    return embedded.database_url()


def migration_engine(settings: DatabaseSettings) -> AsyncEngine:
    """Create the engine for migrations. It has no statement timeout: creating an index may take long."""
    return _engine(settings.model_copy(update={"statement_timeout_ms": 0}), connections=1).execution_options(
        **READ_WRITE
    )


def _engine(settings: DatabaseSettings, connections: int) -> AsyncEngine:
    """Create an engine, which connects on first use. Connections are read-only unless `READ_WRITE` is set."""
    limits = f"-c statement_timeout={settings.statement_timeout_ms} -c lock_timeout={settings.lock_timeout_ms}"
    options = f"{limits} -c default_transaction_read_only=on -c timezone=UTC"
    engine = create_async_engine(
        database_url(settings),
        isolation_level="AUTOCOMMIT",
        pool_size=connections,
        # No overflow: short-lived connections cost more than they gain.
        max_overflow=0,
        pool_timeout=settings.pool_timeout_seconds,
        hide_parameters=settings.env is Environment.PROD,
        connect_args={"connect_timeout": settings.connect_timeout_seconds, "options": options, **TCP_KEEPALIVE},
    )
    event.listen(engine.sync_engine, "checkout", _discard_if_closed)
    return engine


def _discard_if_closed(connection: Any, *_: Any) -> None:
    """Replace a pooled connection that the server has closed, for example during a restart.

    An idle connection has nothing to read unless the server is closing it. Polling takes a few
    microseconds; `pool_pre_ping` would add a round trip to each request.
    """
    poll = select.poll()
    poll.register(connection.driver_connection.fileno(), select.POLLIN)
    if poll.poll(0):
        raise DisconnectionError("closed by the server")


@asynccontextmanager
async def open_database(settings: DatabaseSettings) -> AsyncGenerator[Database]:
    """Open the connection pool. All sessions share it; PostgreSQL itself rejects writes in read-only sessions."""
    engine, probe = _engine(settings, settings.pool_size), _engine(settings, connections=1)
    try:
        writing, reading = (engine.execution_options(**how) for how in (READ_WRITE, READ_ONLY))
        yield Database.from_engines(writing, reading, engine, probe)
    finally:
        await probe.dispose()
        await engine.dispose()


def constraint_name(error: IntegrityError) -> str | None:
    """Return the name of the violated constraint."""
    name: str | None = error.orig.diag.constraint_name  # ty: ignore[missing-attribute]  # an error of psycopg
    return name


def is_unavailable(error: Exception) -> bool:
    """Return whether the server is unreachable or overloaded, as opposed to a single failed statement.

    The class of the error code decides: 08 connection, 53 resources, 57P shutdown or startup
    (https://www.postgresql.org/docs/current/errcodes-appendix.html). There is no code if the connection failed.
    """
    if isinstance(error, OperationalError):
        return (getattr(error.orig, "sqlstate", None) or "08").startswith(("08", "53", "57P"))
    return isinstance(error, InterfaceError | PoolTimeoutError)
