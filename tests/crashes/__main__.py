"""Kill the processes of a service under load, and count lost and duplicated jobs, or with --events events."""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Protocol, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from tests.crashes.deployment import deploy_jobs
from tests.crashes.events import EVENT_COLUMNS, EVENT_SCENARIOS, run_event_scenario
from tests.crashes.events_deployment import deploy_events
from tests.crashes.load import COLUMNS
from tests.crashes.project import project
from tests.crashes.scenarios import JOBS, run_scenario, scenarios
from tests.crashes.servers import redis_binary
from tests.matrix.processes import StepError

Scenario = TypeVar("Scenario")

console = Console()


class Outcome(Protocol):
    """The result of a scenario."""

    @property
    def failure(self) -> str:
        """A description of what is wrong, empty if nothing is."""

    def cells(self) -> list[str]:
        """Return the row of the table."""


def main(
    database: Annotated[str, typer.Option(help="postgres or sqlite.")] = "postgres",
    jobs: Annotated[int, typer.Option(min=100, help="Total number of jobs.")] = JOBS,
    events: Annotated[
        int, typer.Option(min=0, help="Total number of events: test events on a real Kafka instead of jobs.")
    ] = 0,
    only: Annotated[list[str] | None, typer.Option(help="Run only this scenario; can be repeated.")] = None,
    seed: Annotated[int, typer.Option(help="Repeat the faults of an earlier run.", show_default="random")] = 0,
) -> None:
    """Run the scenarios one by one, on a newly rendered project."""
    seed = seed or random.randrange(1, 10_000)  # noqa: S311 - not for secrets
    if events:
        with deploy_events() as event_deployment:
            console.print(f"--seed {seed}")
            chosen_events = [each for each in EVENT_SCENARIOS if not only or each.name in only]
            failed = _show(
                EVENT_COLUMNS, chosen_events, lambda each: run_event_scenario(each, event_deployment, events, seed)
            )
    else:
        chosen = [each for each in scenarios(database) if not only or each.name in only]
        with project(database) as folder, deploy_jobs(folder) as deployment:
            console.print(f"{redis_binary(folder)}, --seed {seed}", soft_wrap=True)
            failed = _show(COLUMNS, chosen, lambda each: run_scenario(each, deployment, jobs, seed))
    raise typer.Exit(failed)


def _show(columns: Iterable[str], scenarios: Sequence[Scenario], run: Callable[[Scenario], Outcome]) -> bool:
    """Run scenarios, print the results, and return whether any failed."""
    failed, table = not scenarios, Table(*columns)
    for each in scenarios:
        try:
            outcome = run(each)
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
