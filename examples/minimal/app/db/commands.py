"""Database commands, and what all commands share."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, NoReturn

import typer
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.config import ConfigurationError, Settings, load
from app.core.logging import configure_logging
from app.db import dialect, migrations
from app.db.expiry import delete_expired
from app.db.session import transaction

EXIT_CONFIGURATION = 78  # EX_CONFIG of sysexits.h

commands = typer.Typer(no_args_is_help=True, help="Manage the database and its migrations.")
COMMANDS = {"db": commands}


@contextmanager
def command_context() -> Generator[Settings]:
    """Load the settings and configure logging. Errors that the user can fix are printed without a traceback."""
    try:
        settings = load(Settings)
        configure_logging(settings)
        yield settings
    except ConfigurationError as error:
        exit_with_error(error, EXIT_CONFIGURATION)
    except migrations.MigrationError as error:
        exit_with_error(error)
    except OperationalError as error:
        reason = str(error.orig).splitlines()[0]
        exit_with_error(f"Database unavailable: {reason}\nCheck DATABASE_URL, and that the server is running.")
    except ProgrammingError as error:
        reason = str(error.orig).splitlines()[0]
        exit_with_error(
            f"The database rejected a statement: {reason}\nIf a table is missing, migrate the database: app db upgrade"
        )


@asynccontextmanager
async def open_transaction() -> AsyncGenerator[AsyncSession]:
    """Open the database, and a transaction in it."""
    async with (
        dialect.open_database(load(dialect.DatabaseSettings)) as database,
        transaction(database.write) as session,
    ):
        yield session


def exit_with_error(reason: object, code: int = 1) -> NoReturn:
    """Print the reason to standard error, and exit without a traceback."""
    typer.echo(reason, err=True)
    raise typer.Exit(code)


@commands.command()
def upgrade(revision: Annotated[str, typer.Argument(help="Target revision.")] = "head") -> None:
    """Apply migrations."""
    with command_context():
        migrations.upgrade(revision)


@commands.command(context_settings={"ignore_unknown_options": True})  # so that -1 is not parsed as an option
def downgrade(revision: Annotated[str, typer.Argument(help="Target revision, or -1 for the previous one.")]) -> None:
    """Revert migrations. Data in dropped tables and columns is lost."""
    with command_context():
        migrations.downgrade(revision)


@commands.command()
def check() -> None:
    """Check that the models match the migrations."""
    with command_context():
        try:
            migrations.check()
        except migrations.MigrationError as error:
            exit_with_error(f'{error}\nRun: uv run just migrate-gen "describe the change"')


@commands.command()
def generate(message: Annotated[str, typer.Argument(help="Short description of the change.")]) -> None:
    """Apply pending migrations, then generate one from the difference between models and database."""
    with command_context():
        migrations.generate(message)


@commands.command()
def purge() -> None:
    """Delete expired rows, such as idempotency keys. Run it daily.

    It deletes in batches; you can interrupt and repeat it.
    """
    with command_context():
        asyncio.run(_purge())


async def _purge() -> None:
    total = 0
    async with dialect.open_database(load(dialect.DatabaseSettings)) as database:
        async for table, deleted in delete_expired(database):
            total += deleted
            typer.echo(f"{table}: {deleted} rows deleted")
    typer.echo(f"{total} expired rows deleted")
