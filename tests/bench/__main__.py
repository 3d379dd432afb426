"""Measure the generated service beside others that do the same work, in turns, and write the table and the chart."""

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
from tests.bench.targets import Target, databases, full_stack, install, interpreter, ours, reference, workplace
from tests.questionnaire import resolve
from tests.rendering import snapshot

REQUESTS = ("health", "get", "list", "filter", "create", "login")

console = Console()


def measure(targets: Sequence[Target], name: str, rounds: int, seconds: float, connections: int) -> Measured:
    """Send one request to each server in turn; each round begins with another, after a round that does not count."""
    asked = [target for target in targets if name in target.requests]
    measured = Measured(name, {target.name: [] for target in asked})
    for number in track(range(-1, rounds), description=name, console=console, transient=True):
        first = number % len(asked)
        for target in [*asked[first:], *asked[:first]]:
            before = target.cpu_seconds()
            load = send(
                target.service.port, target.requests[name], connections, seconds if number >= 0 else seconds / 2
            )
            used = target.cpu_seconds() - before
            if load.failures:
                raise typer.BadParameter(f"{target.name}: {load.failures} of {load.requests} answers to {name} failed")
            if number >= 0:
                measured.runs[target.name].append(Run(load, used / load.requests * 1e6))
    return measured


def main(  # noqa: PLR0913, PLR0917 - the options of a command
    database: Annotated[
        str, typer.Option(help="sqlite or postgres; the limit is measured on PostgreSQL.")
    ] = "postgres",
    kafka: Annotated[bool, typer.Option("--kafka", help="Also a project that publishes events.")] = False,
    peer: Annotated[Path | None, typer.Option(help="A checkout of full-stack-fastapi-template.")] = None,
    only: Annotated[str, typer.Option(help="Which requests, with commas.")] = ",".join(REQUESTS),
    rounds: Annotated[int, typer.Option(min=1)] = 7,
    seconds: Annotated[float, typer.Option(help="Of each round.")] = 4,
    connections: Annotated[int, typer.Option(min=1)] = 32,
    write: Annotated[Path | None, typer.Option(help="Write NAME.md and NAME.svg.")] = None,
) -> None:
    """Measure, and print ratios: on a machine with neighbours only these are worth quoting."""
    with workplace() as folder, ExitStack() as stack:
        targets = _start(stack, folder, database, kafka=kafka, peer=peer)
        every = [measure(targets, request, rounds, seconds, connections) for request in only.split(",")]
        for measured in every:
            table = Table(*HEAD, title=f"{measured.request} ({measured.base} = 1 x)")
            for row in rows(measured):
                table.add_row(*row)
            console.print(table)
        held = {target.name: (target.rss_mb(), target.cold_seconds) for target in targets}
        for target, (memory, cold) in held.items():
            console.print(f"{target}: {memory:.0f} MB, first answer after {cold:.1f} s")
    if write is not None:
        write.with_suffix(".md").write_text(markdown(every, _circumstances(rounds, seconds, connections), held))
        write.with_suffix(".svg").write_text(chart(every))


def _start(stack: ExitStack, folder: Path, database: str, *, kafka: bool, peer: Path | None) -> list[Target]:
    """Start every server, those with which the others are compared first."""
    with console.status("rendering, installing and starting"):
        template = snapshot(folder / "template")
        project = install(template, folder / "ours", database=database)
        urls = stack.enter_context(
            databases(install(template, folder / "server", database=database), _others(database))
        )
        python = interpreter(project, folder)
        targets = []
        if peer is not None:
            (folder / "peer").mkdir()
            targets.append(stack.enter_context(full_stack(peer.resolve(), project, folder / "peer", urls["peer"])))
        targets += [stack.enter_context(reference(name, python, folder, urls[name])) for name in urls if name != "peer"]
        targets.append(stack.enter_context(ours(project)))
        if kafka:
            answers = {"database": database, "kafka": True}
            targets.append(stack.enter_context(ours(install(template, folder / "kafka", **answers), "ours with kafka")))
    return targets


def _others(database: str) -> tuple[str, ...]:
    return ("peer", "bare", "limit") if database == "postgres" else ("bare",)


def _circumstances(rounds: int, seconds: float, connections: int) -> list[str]:
    """Say when and where it was measured."""
    today, processors = datetime.now(UTC).date(), psutil.cpu_count()
    return [
        f"{today}, {processors} processors ({platform.machine()}), Python {resolve({})['python_version']}: {rounds} rounds of {seconds:g} s with {connections} connections, one process each."
    ]


if __name__ == "__main__":
    typer.run(main)
