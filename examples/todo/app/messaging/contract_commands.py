"""Commands that check and write the published schemas."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from app.db.commands import command_context
from app.messaging import rest, schemas

Folder = Annotated[Path, typer.Option(help="Folder of the event schemas. The schema of the routes is next to it.")]
Routes = Annotated[bool, typer.Option("--routes", help="Publish the routes, too.")]

contracts = typer.Typer(no_args_is_help=True, help="Check and write event schemas.")


@contracts.command("write")
def write_files(folder: Folder = schemas.FOLDER, routes: Routes = False) -> None:
    """Write JSON Schemas and the AsyncAPI document.

    If the routes are published, this writes the OpenAPI document, too. Breaking changes
    are rejected. Commit the files: they are the published contract.

    Exit codes: 0 the files match the code; 1 nothing was written, for the printed reason.
    """
    with _told():
        outdated = _outdated(rest.file(folder), first=routes)
        written = schemas.write(folder)
        if outdated is not None:
            rest.write(rest.file(folder), outdated)
            written.append(rest.file(folder))
    for path in written:
        typer.echo(f"written: {path}")
    if not written:
        typer.echo("all files are up to date")


@contracts.command("check")
def check_files(folder: Folder = schemas.FOLDER) -> None:
    """Check that the schema files match the code.

    Exit codes: 0 they match; 1 they differ, as printed.
    """
    with _told():
        difference = schemas.check(folder) + _difference(rest.file(folder))
    if difference:
        typer.echo(
            f"{difference}\nAll changes are compatible. Run `app contracts write`, and commit the files.", err=True
        )
        raise typer.Exit(1)
    typer.echo("all files are up to date")


def _difference(file: Path) -> str:
    if not file.exists():
        return ""
    with command_context():
        return rest.check(file, rest.describe())


def _outdated(file: Path, *, first: bool) -> rest.Document | None:
    """Return the OpenAPI document if its file must be written."""
    if not first and not file.exists():
        return None
    with command_context():
        current = rest.describe()
    return current if not file.exists() or rest.check(file, current) else None


@contextmanager
def _told() -> Generator[None]:
    """Print errors that the user can fix without a traceback."""
    try:
        yield
    except (schemas.BreakingChange, schemas.InvalidSchemaFile) as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from None
