"""Measure the CPU time of each layer when reading and writing a to-do: `python -m tests.bench.layers`."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tests.bench.targets import install, temporary_folder
from tests.matrix.processes import run
from tests.matrix.service import database
from tests.matrix.sign_in import Settings, sign_in
from tests.rendering import snapshot

PROGRAM = Path(__file__).with_name("measure.py")

console = Console()


def measure(requests: int, rounds: int) -> dict[str, dict[str, float]]:
    """Render and install a project; return the CPU microseconds per request, by layer."""
    with temporary_folder() as folder:
        project, results = (
            install(snapshot(folder / "template"), folder / "ours", database="postgres"),
            folder / "results.json",
        )
        with database(project) as url, sign_in(project) as auth:
            settings: Settings = {"ENV": "prod", "DATABASE_URL": url, **auth.settings}
            auth.app("db", "upgrade", settings=settings)
            command = [str(PROGRAM), str(results), str(requests), str(rounds)]
            run(project, ".venv/bin/python", *command, timeout=900, stdin="", **settings)
        return json.loads(results.read_text(encoding="utf-8"))


def main(
    requests: Annotated[int, typer.Option(min=1, help="Requests per round.")] = 200,
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds; the fastest one counts.")] = 15,
) -> None:
    """Print for each layer the time it adds, and the total so far."""
    with console.status("rendering, installing and measuring"):
        results = measure(requests, rounds)
    for request, layers in results.items():
        table = Table("layer", "adds, CPU µs", "total", title=request)
        for (_, before), (name, total) in pairwise([("", 0.0), *layers.items()]):
            table.add_row(name, f"{total - before:.0f}", f"{total:.0f}")
        console.print(table)


if __name__ == "__main__":
    typer.run(main)
