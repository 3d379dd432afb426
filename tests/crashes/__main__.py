"""Let the processes of a service die, and count what is lost: of its jobs, or with --events of its events."""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Protocol, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from tests.crashes.events import EVENT_COLUMNS, EVENT_PLAYS, play_events
from tests.crashes.events_site import event_site
from tests.crashes.load import COLUMNS
from tests.crashes.project import project
from tests.crashes.scenarios import JOBS, play, plays
from tests.crashes.servers import redis_binary
from tests.crashes.site import site
from tests.matrix.processes import StepError

Play = TypeVar("Play")

console = Console()


class Outcome(Protocol):
    """What became of a scenario."""

    @property
    def failure(self) -> str:
        """Say what is wrong; nothing if nothing is."""

    def cells(self) -> list[str]:
        """Return a row of the table."""


def main(
    database: Annotated[str, typer.Option(help="postgres or sqlite.")] = "postgres",
    jobs: Annotated[int, typer.Option(min=100, help="How many in all.")] = JOBS,
    events: Annotated[int, typer.Option(min=0, help="So many events through a real Kafka, and no jobs.")] = 0,
    only: Annotated[list[str] | None, typer.Option(help="Play this scenario only; can be repeated.")] = None,
    seed: Annotated[int, typer.Option(help="To have the same deaths again.", show_default="another each time")] = 0,
) -> None:
    """Play the scenarios one by one, on a project that is rendered for it."""
    seed = seed or random.randrange(1, 10_000)  # noqa: S311 - not for secrets
    if events:
        with event_site() as made_for_events:
            console.print(f"--seed {seed}")
            chosen_events = [each for each in EVENT_PLAYS if not only or each.name in only]
            failed = _show(EVENT_COLUMNS, chosen_events, lambda each: play_events(each, made_for_events, events, seed))
    else:
        chosen = [each for each in plays(database) if not only or each.name in only]
        with project(database) as folder, site(folder) as made:
            console.print(f"{redis_binary(folder)}, --seed {seed}", soft_wrap=True)
            failed = _show(COLUMNS, chosen, lambda each: play(each, made, jobs, seed))
    raise typer.Exit(failed)


def _show(columns: Iterable[str], plays: Sequence[Play], play: Callable[[Play], Outcome]) -> bool:
    """Play and print, and tell whether something went wrong."""
    failed, table = not plays, Table(*columns)
    for each in plays:
        try:
            outcome = play(each)
            table.add_row(*outcome.cells())
            console.print(" ".join(outcome.cells()), outcome.failure or "ok")
            failed |= bool(outcome.failure)
        except StepError as error:
            failed = True
            console.print(f"{each}: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
    console.print(table)
    return failed


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app(prog_name="python -m tests.crashes")
