"""Commands for the files that hold what was promised about events."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from app.db.commands import configured
from app.events import catalogue, rest

Folder = Annotated[Path, typer.Option(help="Where the files about events are; those about routes are beside it.")]
Routes = Annotated[bool, typer.Option("--routes", help="Promise the routes as well, from now on.")]

contracts = typer.Typer(no_args_is_help=True, help="What was promised about events and routes.")


@contracts.command("write")
def write_files(folder: Folder = catalogue.FOLDER, routes: Routes = False) -> None:
    """Bring the files up to date with the code: JSON Schemas, an AsyncAPI document, and, if there is one, an OpenAPI one.

    Only what adds to a promise is written. Commit what is written: it is the promise then.

    Exit codes: 0 the files say what the code says; 1 nothing was written, for the reason that is told.
    """
    with _told():
        outdated = _outdated(rest.file(folder), first=routes)
        written = catalogue.write(folder)
        if outdated is not None:
            rest.write(rest.file(folder), outdated)
            written.append(rest.file(folder))
    for path in written:
        typer.echo(f"written: {path}")
    if not written:
        typer.echo("all files are up to date")


@contracts.command("check")
def check_files(folder: Folder = catalogue.FOLDER) -> None:
    """Tell whether the files say what the code says.

    Exit codes: 0 they do; 1 they do not, and what differs is told.
    """
    with _told():
        difference = catalogue.check(folder) + _difference(rest.file(folder))
    if difference:
        typer.echo(
            f"{difference}\nThat adds to what was promised. Write it, and commit it: app contracts write", err=True
        )
        raise typer.Exit(1)
    typer.echo("all files are up to date")


def _difference(file: Path) -> str:
    if not file.exists():
        return ""
    with configured():
        return rest.check(file, rest.describe())


def _outdated(file: Path, *, first: bool) -> rest.Document | None:
    """Return the routes if the file is to be written."""
    if not first and not file.exists():
        return None
    with configured():
        current = rest.describe()
    return current if not file.exists() or rest.check(file, current) else None


@contextmanager
def _told() -> Generator[None]:
    """Tell what a person can put right without a traceback."""
    try:
        yield
    except (catalogue.NotAnAddition, catalogue.UnusableFile) as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from None
