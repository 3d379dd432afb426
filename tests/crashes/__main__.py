"""Let the processes of a service die, and count what is lost."""

import random
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tests.crashes.load import COLUMNS
from tests.crashes.project import project
from tests.crashes.scenarios import JOBS, play, plays
from tests.crashes.servers import redis_binary
from tests.crashes.site import site
from tests.matrix.processes import StepError

console = Console()


def main(
    database: Annotated[str, typer.Option(help="postgres or sqlite.")] = "postgres",
    jobs: Annotated[int, typer.Option(min=100, help="How many in all.")] = JOBS,
    only: Annotated[list[str] | None, typer.Option(help="Play this scenario only; can be repeated.")] = None,
    seed: Annotated[int, typer.Option(help="To have the same deaths again.", show_default="another each time")] = 0,
) -> None:
    """Play the scenarios one by one, on a project that is rendered for it."""
    seed = seed or random.randrange(1, 10_000)  # noqa: S311 - not for secrets
    chosen = [each for each in plays(database) if not only or each.name in only]
    failed = not chosen
    table = Table(*COLUMNS)
    with project(database) as folder, site(folder) as made:
        console.print(f"{redis_binary(folder)}, --seed {seed}", soft_wrap=True)
        for each in chosen:
            try:
                outcome = play(each, made, jobs, seed)
                table.add_row(*outcome.cells())
                console.print(" ".join(outcome.cells()), outcome.failure or "ok")
                failed |= bool(outcome.failure)
            except StepError as error:
                failed = True
                console.print(f"{each.name}: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
    console.print(table)
    raise typer.Exit(failed)


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app(prog_name="python -m tests.crashes")
