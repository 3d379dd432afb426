"""Compare the generated service with other implementations; write a table and a chart."""

import platform
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.bench.load import send
from tests.bench.report import HEAD, Measured, Run, chart, markdown, rows
from tests.bench.targets import (
    Target,
    databases,
    full_stack_target,
    install,
    interpreter,
    project_target,
    reference_target,
    temporary_folder,
)
from tests.questionnaire import resolve
from tests.rendering import snapshot

REQUESTS = ("health", "get", "list", "filter", "create", "login")

console = Console()


def measure(targets: Sequence[Target], name: str, rounds: int, seconds: float, connections: int) -> Measured:
    """Measure one request on each server. Each round starts with another server; the first round is a warm-up."""
    measured_targets = [target for target in targets if name in target.requests]
    measured = Measured(name, {target.name: [] for target in measured_targets})
    for number in track(range(-1, rounds), description=name, console=console, transient=True):
        first = number % len(measured_targets)
        for target in [*measured_targets[first:], *measured_targets[:first]]:
            before = target.cpu_seconds()
            load = send(
                target.service.port, target.requests[name], connections, seconds if number >= 0 else seconds / 2
            )
            used = target.cpu_seconds() - before
            if load.failures:
                raise typer.BadParameter(
                    f"{target.name}: {load.failures} of {load.requests} responses to {name} failed"
                )
            if number >= 0:
                measured.runs[target.name].append(Run(load, used / load.requests * 1e6))
    return measured


def main(  # noqa: PLR0913, PLR0917 - the options of a command
    database: Annotated[
        str, typer.Option(help="sqlite or postgres; the `limit` reference needs PostgreSQL.")
    ] = "postgres",
    kafka: Annotated[bool, typer.Option("--kafka", help="Also measure a project that publishes events.")] = False,
    peer: Annotated[Path | None, typer.Option(help="A checkout of full-stack-fastapi-template.")] = None,
    only: Annotated[str, typer.Option(help="Requests, separated by commas.")] = ",".join(REQUESTS),
    rounds: Annotated[int, typer.Option(min=1)] = 7,
    seconds: Annotated[float, typer.Option(help="Duration of a round.")] = 4,
    connections: Annotated[int, typer.Option(min=1)] = 32,
    write: Annotated[Path | None, typer.Option(help="Write NAME.md and NAME.svg.")] = None,
) -> None:
    """Run the benchmark, and print ratios, which are comparable even on a shared machine."""
    with temporary_folder() as folder, ExitStack() as stack:
        targets = _start(stack, folder, database, kafka=kafka, peer=peer)
        results = [measure(targets, request, rounds, seconds, connections) for request in only.split(",")]
        for measured in results:
            table = Table(*HEAD, title=f"{measured.request} ({measured.base} = 1 x)")
            for row in rows(measured):
                table.add_row(*row)
            console.print(table)
        resources = {target.name: (target.rss_mb(), target.cold_seconds) for target in targets}
        for target, (memory, cold) in resources.items():
            console.print(f"{target}: {memory:.0f} MB, first response after {cold:.1f} s")
    if write is not None:
        write.with_suffix(".md").write_text(markdown(results, _conditions(rounds, seconds, connections), resources))
        write.with_suffix(".svg").write_text(chart(results))


def _start(stack: ExitStack, folder: Path, database: str, *, kafka: bool, peer: Path | None) -> list[Target]:
    """Start every server; the first one is the base of the comparison."""
    with console.status("rendering, installing and starting"):
        template = snapshot(folder / "template")
        project = install(template, folder / "ours", database=database)
        urls = stack.enter_context(
            databases(install(template, folder / "server", database=database), _compared(database))
        )
        python = interpreter(project, folder)
        targets = []
        if peer is not None:
            (folder / "peer").mkdir()
            targets.append(
                stack.enter_context(full_stack_target(peer.resolve(), project, folder / "peer", urls["peer"]))
            )
        targets += [
            stack.enter_context(reference_target(name, python, folder, urls[name])) for name in urls if name != "peer"
        ]
        targets.append(stack.enter_context(project_target(project)))
        if kafka:
            answers = {"database": database, "kafka": True}
            targets.append(
                stack.enter_context(project_target(install(template, folder / "kafka", **answers), "ours with kafka"))
            )
    return targets


def _compared(database: str) -> tuple[str, ...]:
    return ("peer", "bare", "limit") if database == "postgres" else ("bare",)


def _conditions(rounds: int, seconds: float, connections: int) -> list[str]:
    """Return the conditions of the measurement."""
    today, processors = datetime.now(UTC).date(), psutil.cpu_count()
    return [
        f"{today}, {processors} processors ({platform.machine()}), Python {resolve({})['python_version']}: {rounds} rounds of {seconds:g} s with {connections} connections, one process each."
    ]


if __name__ == "__main__":
    typer.run(main)
