"""The database: a feature like any other, and the first to open."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.core.config import load
from app.core.health import add_check
from app.db import dialect, errors, idempotency, migrations
from app.db.session import check


def prepare_development() -> None:
    """Start and migrate the database; this process keeps it running while reloads come and go."""
    url = dialect.database_url(load(dialect.DatabaseSettings))
    os.environ["DATABASE_URL"] = url.render_as_string(hide_password=False)
    migrations.upgrade()


def setup(app: FastAPI) -> None:
    """Make an unreachable database an honest 503 and a failing readiness, and answers repeatable."""
    errors.register(app)
    app.add_exception_handler(idempotency.Repeated, idempotency.repeat)
    add_check(app, "database", check)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Open the pool. It connects when it is first used, so a server that is away does not stop the start."""
    async with dialect.open_database(load(dialect.DatabaseSettings)) as database:
        app.state.database = database
        yield
