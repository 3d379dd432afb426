"""Commands for the database, and what commands of all packages share."""

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
from app.db.expiry import purge as purge_expired
from app.db.lines import TransferError, UnusableFile
from app.db.session import transaction

EXIT_DATA = 65  # EX_DATAERR of sysexits.h
EXIT_CONFIGURATION = 78  # EX_CONFIG

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
    from alembic.util import CommandError  # noqa: PLC0415 - as in `app/db/migrations.py`

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


@commands.command("export")
def export_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that does not exist yet; - is standard output.")],
) -> None:
    """Write all rows of all tables to a file, for `app db import`.

    So the data of SQLite come to PostgreSQL, and back. Stop the service first: what is written
    later is not in the file. Its rows are of one moment, and are checked to suit both databases.

    The file holds what the database holds, personal data and secrets included. Only you can read
    it. Keep it out of git, and delete it when it has been imported.

    Exit codes: 0 all rows are in the file; 1 there is no file, for the reason that is told;
    78 a setting is wrong.
    """
    with configured(), _told(), _created(file) as stream:
        asyncio.run(_export(stream))


@commands.command("import")
def import_file(
    file: Annotated[
        typer.FileBinaryRead, typer.Argument(metavar="FILE", help="What `app db export` wrote; - is standard input.")
    ],
) -> None:
    """Put the rows that `app db export` wrote into a new database.

    Its tables must be there (`app db upgrade`) and empty, and the models those of the export.
    All rows are imported or, if one of them is refused, none.

    Exit codes: 0 all rows are there; 1 the database is not new, not migrated, or refuses a row;
    65 the file is not whole, or not for these tables; 78 a setting is wrong.
    """
    with configured(), _told():
        asyncio.run(_import(file))


@contextmanager
def _told() -> Generator[None]:
    """Tell why it was refused, without a traceback."""
    try:
        yield
    except (TransferError, OSError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(EXIT_DATA if isinstance(error, UnusableFile) else 1) from None


@contextmanager
def _created(file: Path) -> Generator[BinaryIO]:
    """Create a file that only its owner can read, whole or not at all."""
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
