"""Tell what each layer of reading a to-do and of writing one costs: `python -m tests.bench.layers`."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tests.bench.targets import install, workplace
from tests.matrix.processes import run
from tests.matrix.service import database
from tests.matrix.sign_in import Settings, sign_in
from tests.rendering import snapshot

ASKING = Path(__file__).with_name("asking.py")

console = Console()


def measured(requests: int, rounds: int) -> dict[str, dict[str, float]]:
    """Render, install and ask; return the CPU of each request in microseconds, by layer."""
    with workplace() as folder:
        project, told = install(snapshot(folder / "template"), folder / "ours", database="postgres"), folder / "told"
        with database(project) as url, sign_in(project) as people:
            settings: Settings = {"ENV": "prod", "DATABASE_URL": url, **people.settings}
            people.app("db", "upgrade", settings=settings)
            asking = [str(ASKING), str(told), str(requests), str(rounds)]
            run(project, ".venv/bin/python", *asking, timeout=900, typed="", **settings)
        return json.loads(told.read_text(encoding="utf-8"))


def main(
    requests: Annotated[int, typer.Option(min=1, help="How many are asked in a round.")] = 200,
    rounds: Annotated[int, typer.Option(min=1, help="How many rounds; the quietest counts.")] = 15,
) -> None:
    """Print a line a layer: what it adds, and what it is together with those above."""
    with console.status("rendering, installing and asking"):
        told = measured(requests, rounds)
    for request, layers in told.items():
        table = Table("layer", "adds, CPU µs", "together", title=request)
        for (_, before), (name, together) in pairwise([("", 0.0), *layers.items()]):
            table.add_row(name, f"{together - before:.0f}", f"{together:.0f}")
        console.print(table)


if __name__ == "__main__":
    typer.run(main)
