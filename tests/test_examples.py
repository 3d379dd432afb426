"""The committed examples are what the template renders now."""

import subprocess
from pathlib import Path

import pytest

from tests.examples import EXAMPLES, names, render_example
from tests.projects import files
from tests.rendering import ROOT


def committed(name: str) -> list[Path]:
    """List the files of an example without what its own tools may have left there."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", f"examples/{name}/"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    there = [ROOT / file for file in filter(None, listed.split("\0"))]
    return sorted(file.relative_to(EXAMPLES / name) for file in there if file.is_file())


@pytest.mark.parametrize("name", names())
def test_example_is_up_to_date(name: str, template: Path, tmp_path: Path) -> None:
    fresh = render_example(name, template, tmp_path / "project")
    assert committed(name) == files(fresh), "run `just examples`"
    for file in files(fresh):
        assert (EXAMPLES / name / file).read_bytes() == (fresh / file).read_bytes(), f"{file}: run `just examples`"


def test_the_promised_examples_are_there() -> None:
    assert {"backend", "minimal", "starter", "todo"} <= set(names())
