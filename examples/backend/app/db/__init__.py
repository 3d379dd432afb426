"""The database feature: sessions, migrations, error handling, idempotency keys. It starts first."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.core.config import load
from app.core.runtime import Feature, Runtime
from app.db import dialect, errors, idempotency, migrations
from app.db.session import Database, check


def prepare_development() -> None:
    """Start and migrate the development database. It keeps running while the server reloads."""
    url = dialect.database_url(load(dialect.DatabaseSettings))
    os.environ["DATABASE_URL"] = url.render_as_string(hide_password=False)
    migrations.upgrade()


def _setup(app: FastAPI, runtime: Runtime) -> None:
    """Map database errors to responses, replay idempotent responses, and add a health check."""
    errors.add_exception_handlers(app)
    app.add_exception_handler(idempotency.ReplayedResponse, idempotency.replay_response)
    runtime.add_check("database", check)


@asynccontextmanager
async def _lifespan(runtime: Runtime) -> AsyncGenerator[None]:
    """Open the connection pool. It connects on first use, so the app starts even if the database is unavailable."""
    async with dialect.open_database(load(dialect.DatabaseSettings)) as database:
        runtime[Database] = database
        yield


feature = Feature(
    setup=_setup, lifespan=_lifespan, prepare_development=prepare_development, commands=("app.db.commands",)
)
