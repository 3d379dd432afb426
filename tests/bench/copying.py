"""Compare `copier copy` of this template and of as many plain files: `python -m tests.bench.copying`."""

import resource
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tests.bench.targets import temporary_folder
from tests.rendering import snapshot


def copy(template: Path, folder: Path) -> float:
    """Run `copier copy`, and return the CPU seconds it used."""
    before = _children()
    command = [sys.executable, "-m", "copier", "copy", "--quiet", "--defaults", str(template), str(folder)]
    subprocess.run(command, check=True)
    return _children() - before


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def plain(project: Path, folder: Path) -> Path:
    """Create a template from the files of a project, without questions and Jinja."""
    shutil.copytree(project, folder / "template")
    for file in filter(Path.is_file, (folder / "template").rglob("*")):
        file.write_text("x" * file.stat().st_size, encoding="utf-8")
    (folder / "copier.yml").write_text("_subdirectory: template\n", encoding="utf-8")
    return folder


def main(rounds: Annotated[int, typer.Option(min=1)] = 7) -> None:
    """Copy both alternately, and print the median of the ratios."""
    with temporary_folder() as folder:
        template = snapshot(folder / "ours")
        copy(template, folder / "project")
        others = plain(folder / "project", folder / "plain")
        files = sum(map(Path.is_file, (folder / "project").rglob("*")))
        pairs = [(copy(template, folder / f"o{n}"), copy(others, folder / f"p{n}")) for n in range(rounds)]
    table = Table("", "CPU seconds")
    for name, used in zip(("this template", f"{files} plain files"), zip(*pairs, strict=True), strict=True):
        table.add_row(name, f"{statistics.median(used):.2f}")
    Console().print(table, f"{statistics.median(ours / theirs for ours, theirs in pairs):.2f} times")


if __name__ == "__main__":
    typer.run(main)
