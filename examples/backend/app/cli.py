"""The command line: `uv run app --help`."""

import asyncio
import errno
import json
import os
import signal
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from alembic.util import CommandError
from sqlalchemy.exc import OperationalError

from app.core.config import ConfigurationError, Environment, Settings, load
from app.core.logging import configure_logging
from app.db import dialect, idempotency, migrations
from app.db.session import transaction
from app.main import create_app

EXIT_CONFIGURATION = 78  # EX_CONFIG of sysexits.h

app = typer.Typer(
    no_args_is_help=True,
    help="Run and look after the service.",
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
db = typer.Typer(no_args_is_help=True, help="The database and its migrations.")
openapi = typer.Typer(no_args_is_help=True, help="The description of the API.")
app.add_typer(db, name="db")
app.add_typer(openapi, name="openapi")


@contextmanager
def _configured() -> Generator[Settings]:
    """Read the settings and set up logging; what a person can put right is told without a traceback."""
    try:
        settings = load(Settings)
        configure_logging(settings)
        load(dialect.DatabaseSettings)
        yield settings
    except ConfigurationError as error:
        typer.echo(error, err=True)
        raise typer.Exit(EXIT_CONFIGURATION) from None
    except OperationalError as error:
        reason = str(error.orig).splitlines()[0]
        typer.echo(f"The database does not answer: {reason}\nIs DATABASE_URL right, and does its server run?", err=True)
        raise typer.Exit(1) from None


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="HOST, else 127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port to listen on.", show_default="PORT, else 8000")
    ] = None,
    reload: Annotated[bool, typer.Option("--reload", help="Restart when a file below app/ changes.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes that answer.")] = 1,
) -> None:
    """Answer requests, until told to stop.

    In development (ENV=dev) the database is started and migrated first.
    """
    with _configured() as settings:
        host, port = host or settings.host, port or settings.port
        _require_free(host, port)
        if settings.env is Environment.DEV:
            _prepare_development()
        # uvicorn repeats the signal once it has stopped; leaving in order then also stops a development database.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        uvicorn.run(
            "app.main:create_app",
            factory=True,
            host=host,
            port=port,
            reload=reload,
            reload_dirs=["app"] if reload else None,
            workers=None if reload else workers,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=settings.shutdown_grace_seconds,
        )


def _require_free(host: str, port: int) -> None:
    """Say what to do about a port in use, before anything else is started."""
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        advice = "Choose another, for example PORT=8001." if error.errno == errno.EADDRINUSE else "Is HOST right?"
        reason = str(error.strerror).partition(" (")[0]
        typer.echo(f"Cannot listen on {host}, port {port}: {reason}.\n{advice}", err=True)
        raise typer.Exit(1) from None


def _prepare_development() -> None:
    """Start and migrate the database; this process keeps it running while reloads come and go."""
    url = dialect.database_url(load(dialect.DatabaseSettings))
    os.environ["DATABASE_URL"] = url.render_as_string(hide_password=False)
    migrations.upgrade()


@db.command()
def upgrade(revision: Annotated[str, typer.Argument(help="Where to stop.")] = "head") -> None:
    """Bring the database up to date."""
    with _configured():
        migrations.upgrade(revision)


@db.command(context_settings={"ignore_unknown_options": True})  # so that -1 is no option
def downgrade(revision: Annotated[str, typer.Argument(help="A revision, or -1 for the one before.")]) -> None:
    """Take migrations back. Data of dropped tables and columns is lost."""
    with _configured():
        migrations.downgrade(revision)


@db.command()
def check() -> None:
    """Tell whether the models have changed since the last migration was written."""
    with _configured():
        try:
            migrations.check()
        except CommandError as error:
            typer.echo(f"{error}\nRun: just migrate-gen", err=True)
            raise typer.Exit(1) from None


@db.command()
def generate(message: Annotated[str, typer.Argument(help="What changes, in a few words.")]) -> None:
    """Write a migration from the difference between the models and the database."""
    with _configured():
        migrations.generate(message)


@db.command()
def purge() -> None:
    """Delete what has expired: idempotency keys older than a day. Run it daily."""
    with _configured():
        typer.echo(f"{asyncio.run(_purge())} expired idempotency keys deleted")


async def _purge() -> int:
    async with (
        dialect.open_database(load(dialect.DatabaseSettings)) as database,
        transaction(database.writers) as session,
    ):
        return await idempotency.purge(session)


@openapi.command()
def export(path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("openapi.json")) -> None:
    """Write the description of the API to a file, for client generators and reviews."""
    with _configured():
        path.write_text(json.dumps(create_app().openapi(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        typer.echo(f"written: {path}")
