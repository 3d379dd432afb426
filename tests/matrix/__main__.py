"""List, render or run the variants of the template."""

import json
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.matrix.execution import STEPS, Result, execute
from tests.matrix.processes import kill_all
from tests.matrix.variants import Variant, spelled, variants
from tests.questionnaire import resolve
from tests.rendering import render as render_project
from tests.rendering import snapshot

app = typer.Typer(no_args_is_help=True, help=__doc__, pretty_exceptions_show_locals=False)
console = Console()

Name = Annotated[str, typer.Argument(help="Name of a variant; `list` shows all.", show_default=False)]


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print only the names, as JSON.")] = False) -> None:
    """List the variants."""
    if as_json:
        typer.echo(json.dumps([variant.name for variant in variants()]))
        return
    for variant in variants():
        answers = spelled(resolve(variant.answers))
        typer.echo(variant.name if variant.name == answers else f"{variant.name} = {answers}")


@app.command()
def render(name: Name, folder: Annotated[Path, typer.Argument(help="Target folder.", show_default=False)]) -> None:
    """Render one variant from the working tree."""
    with tempfile.TemporaryDirectory() as template:
        render_project(snapshot(Path(template)), folder, _find(name).answers)


@app.command()
def run(
    only: Annotated[list[str] | None, typer.Option(help="Run only this variant; can be repeated.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the projects afterwards.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Number of variants at the same time.")] = 2,
) -> None:
    """Install variants, run their checks and tests, and start them in production mode."""
    chosen = [_find(name) for name in only] if only else list(variants())
    folder = Path(tempfile.mkdtemp(prefix="copier-fastapi-"))
    try:
        results = _run(chosen, folder, jobs)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    _report(results)
    if keep:
        console.print(f"The projects are in {folder}", soft_wrap=True)
    raise typer.Exit(any(result.failure for result in results))


def _find(name: str) -> Variant:
    for variant in variants():
        if variant.name == name:
            return variant
    raise typer.BadParameter(f"there is no variant {name!r}; `python -m tests.matrix list` shows them all")


def _run(chosen: list[Variant], folder: Path, jobs: int) -> list[Result]:
    """Execute variants in parallel, and show the progress of each."""
    template = snapshot(folder / "template")
    processes = max(1, (os.cpu_count() or 1) // jobs)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress, ThreadPoolExecutor(jobs) as pool:
        overall = progress.add_task("variants", total=len(chosen))

        def run_one(variant: Variant) -> Result:
            task = progress.add_task(variant.name, total=len(STEPS))

            def show(step: str) -> None:
                progress.update(task, completed=STEPS.index(step), description=f"{variant}: {step}")

            result = execute(variant, template, folder / variant.name, processes=processes, entering=show)
            progress.remove_task(task)
            progress.advance(overall)
            return result

        try:
            return list(pool.map(run_one, chosen))
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            kill_all()
            raise


def _report(results: list[Result]) -> None:
    """Print failures, one line for each variant, and the skipped variants with the reason."""
    for result in results:
        if result.failure:
            console.print(result.failure, style="red", markup=False, highlight=False, soft_wrap=True)
    table = Table("variant", *(f"{step} s" for step in STEPS), "result")
    for result in results:
        seconds = [f"{result.seconds[step]:.1f}" if step in result.seconds else "" for step in STEPS]
        table.add_row(result.variant.name, *seconds, _verdict(result))
    console.print(table)
    for result in results:
        if result.reason:
            console.print(f"{result.variant} was rendered but not executed: {result.reason}.", soft_wrap=True)


def _verdict(result: Result) -> str:
    if result.failure:
        return "[red]failed"
    if result.reason:
        return "[yellow]rendered"
    return "[green]passed" if result.variant.in_full else "[green]passed (checks and tests only)"


if __name__ == "__main__":
    app(prog_name="python -m tests.matrix")
