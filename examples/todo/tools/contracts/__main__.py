"""Commands that check and write the published event schemas: `python -m tools.contracts`."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from app import features  # noqa: F401 - imports the contracts and consumers of all modules
from tools.contracts import files
from tools.contracts.files import FOLDER, ContractError

Folder = Annotated[Path, typer.Option(help="Folder of the schema files.")]

cli = typer.Typer(no_args_is_help=True, add_completion=False, help="Check and write the published event schemas.")


@cli.command()
def check(folder: Folder = FOLDER) -> None:
    """Check that the schema files match the code.

    Exit codes: 0 they match; 1 they differ, as printed.
    """
    with _errors_printed():
        files.check(folder)
    typer.echo("all files are up to date")


@cli.command()
def write(folder: Folder = FOLDER) -> None:
    """Write the JSON Schemas and the AsyncAPI document.

    Breaking changes are rejected. Commit the files: they are the published contract.

    Exit codes: 0 the files match the code; 1 nothing was written, for the printed reason.
    """
    with _errors_printed():
        written = files.write(folder)
    for path in written:
        typer.echo(f"written: {path}")
    if not written:
        typer.echo("all files are up to date")


@contextmanager
def _errors_printed() -> Generator[None]:
    """Print errors that the user can fix without a traceback."""
    try:
        yield
    except ContractError as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    cli(prog_name="python -m tools.contracts")
