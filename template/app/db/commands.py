"""Database commands, and the context manager that all commands share."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from sqlalchemy.exc import OperationalError

from app.core.config import ConfigurationError, Settings, load
from app.core.logging import configure_logging
from app.db import dialect, migrations, transfer
from app.db.expiry import delete_expired as purge_expired
from app.db.lines import TransferError, UnusableFile
from app.db.session import transaction

EXIT_DATA = 65  # EX_DATAERR of sysexits.h
EXIT_CONFIGURATION = 78  # EX_CONFIG

commands = typer.Typer(no_args_is_help=True, help="Manage the database and its migrations.")
COMMANDS = {"db": commands}


@contextmanager
def command_context() -> Generator[Settings]:
    """Load the settings and configure logging. Errors that the user can fix are printed without a traceback."""
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
        typer.echo(f"Database unavailable: {reason}\nCheck DATABASE_URL, and that the server is running.", err=True)
        raise typer.Exit(1) from None


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
    from alembic.util import CommandError  # noqa: PLC0415 - as in `app/db/migrations.py`

    with command_context():
        try:
            migrations.check()
        except CommandError as error:
            typer.echo(f"{error}\nRun: just migrate-gen", err=True)
            raise typer.Exit(1) from None


@commands.command()
def generate(message: Annotated[str, typer.Argument(help="Short description of the change.")]) -> None:
    """Generate a migration from the difference between models and database."""
    with command_context():
        migrations.generate(message)


@commands.command()
def purge() -> None:
    """Delete expired rows, such as idempotency keys. Run it daily."""
    with command_context():
        typer.echo(f"{asyncio.run(_purge())} expired rows deleted")


async def _purge() -> int:
    async with (
        dialect.open_database(load(dialect.DatabaseSettings)) as database,
        transaction(database.write) as session,
    ):
        return await purge_expired(session)


@commands.command("export")
def export_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that does not exist yet; - is standard output.")],
) -> None:
    """Export all rows of all tables to a file, for `app db import`.

    Use it to move data from SQLite to PostgreSQL, or back. Stop the service first: later changes
    are not exported. The rows are a consistent snapshot, and are validated for both databases.

    The file contains all data, including personal data and secrets. Only you can read it. Keep
    it out of git, and delete it after the import.

    Exit codes: 0 success; 1 the export failed, and there is no file; 78 invalid settings.
    """
    with command_context(), _told(), _created(file) as stream:
        asyncio.run(_export(stream))


@commands.command("import")
def import_file(
    file: Annotated[
        typer.FileBinaryRead, typer.Argument(metavar="FILE", help="A file from `app db export`; - is standard input.")
    ],
) -> None:
    """Import the rows from `app db export` into a new database.

    Its tables must exist (`app db upgrade`) and be empty, and match the version of the export.
    All rows are imported or, if one of them is rejected, none.

    Exit codes: 0 success; 1 the database is not empty, not migrated, or rejects a row;
    65 the file is incomplete or does not match the tables; 78 invalid settings.
    """
    with command_context(), _told():
        asyncio.run(_import(file))


@contextmanager
def _told() -> Generator[None]:
    """Print the reason for a failure, without a traceback."""
    try:
        yield
    except (TransferError, OSError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(EXIT_DATA if isinstance(error, UnusableFile) else 1) from None


@contextmanager
def _created(file: Path) -> Generator[BinaryIO]:
    """Create a file that only its owner can read; delete it if the block fails."""
    if file == Path("-"):
        yield typer.get_binary_stream("stdout")
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        file.touch(0o600, exist_ok=False)
    except FileExistsError:
        what = (
            f"is a folder. Name a file in it, like {file / 'rows.jsonl'}" if file.is_dir() else "exists. Name another"
        )
        raise TransferError(f"{file} {what}.") from None
    try:
        with file.open("wb") as stream:
            yield stream
    except BaseException:
        file.unlink()
        raise


def _tell(what: str) -> None:
    typer.echo(what, err=True)  # standard output may be the file


async def _export(file: BinaryIO) -> None:
    async with dialect.open_database(load(dialect.DatabaseSettings)) as database:
        await transfer.export_rows(database, file, _tell)


async def _import(file: BinaryIO) -> None:
    async with dialect.open_database(load(dialect.DatabaseSettings)) as database:
        await transfer.import_rows(database, file, _tell)
