"""Creates the PostgreSQL databases of the tests."""

import os
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from app.core.openapi import api_metadata
from app.db import embedded
from tests.waiting import TIMEOUT_SECONDS

LIMITS = {
    "DATABASE_POOL_TIMEOUT_SECONDS": f"{TIMEOUT_SECONDS}",
    "DATABASE_CONNECT_TIMEOUT_SECONDS": f"{TIMEOUT_SECONDS}",
    "DATABASE_STATEMENT_TIMEOUT_MS": f"{TIMEOUT_SECONDS}000",
    "DATABASE_LOCK_TIMEOUT_MS": f"{TIMEOUT_SECONDS}000",
}


def create_database(folder: Path, name: str) -> str:
    """Create an empty database and return its URL.

    If DATABASE_URL is set, the database is created on that server, next to the one in the URL.
    Otherwise, all test processes share an embedded server, which stops with the last of them.
    """
    given = os.environ.get("DATABASE_URL")
    if given is None:
        return embedded.database_url(folder / "postgres", name).render_as_string(hide_password=False)
    server, name = make_url(given), f"{api_metadata()['name'].replace('-', '_')}_{name}"
    uri = server.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(uri, autocommit=True) as db:
        db.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        db.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return server.set(drivername="postgresql+psycopg", database=name).render_as_string(hide_password=False)
