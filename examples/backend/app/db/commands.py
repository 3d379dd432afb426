"""Commands for the database, and what commands of all packages share."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated

import typer
from alembic.util import CommandError
from sqlalchemy.exc import OperationalError

from app.core.config import ConfigurationError, Settings, load
from app.core.logging import configure_logging
from app.db import dialect, migrations
from app.db.expiry import purge as purge_expired
from app.db.session import transaction

EXIT_CONFIGURATION = 78  # EX_CONFIG of sysexits.h

commands = typer.Typer(no_args_is_help=True, help="The database and its migrations.")


@contextmanager
def configured() -> Generator[Settings]:
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


@commands.command()
def upgrade(revision: Annotated[str, typer.Argument(help="Where to stop.")] = "head") -> None:
    """Bring the database up to date."""
    with configured():
        migrations.upgrade(revision)


@commands.command(context_settings={"ignore_unknown_options": True})  # so that -1 is no option
def downgrade(revision: Annotated[str, typer.Argument(help="A revision, or -1 for the one before.")]) -> None:
    """Take migrations back. Data of dropped tables and columns is lost."""
    with configured():
        migrations.downgrade(revision)


@commands.command()
def check() -> None:
    """Tell whether the models have changed since the last migration was written."""
    with configured():
        try:
            migrations.check()
        except CommandError as error:
            typer.echo(f"{error}\nRun: just migrate-gen", err=True)
            raise typer.Exit(1) from None


@commands.command()
def generate(message: Annotated[str, typer.Argument(help="What changes, in a few words.")]) -> None:
    """Write a migration from the difference between the models and the database."""
    with configured():
        migrations.generate(message)


@commands.command()
def purge() -> None:
    """Delete what has expired, such as idempotency keys older than a day. Run it daily."""
    with configured():
        typer.echo(f"{asyncio.run(_purge())} expired rows deleted")


async def _purge() -> int:
    async with (
        dialect.open_database(load(dialect.DatabaseSettings)) as database,
        transaction(database.writers) as session,
    ):
        return await purge_expired(session)
