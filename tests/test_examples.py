"""The committed examples match the template."""

import subprocess
from pathlib import Path

import pytest

from tests.examples import EXAMPLES, names, render_example
from tests.projects import files
from tests.rendering import ROOT


def committed(name: str) -> list[Path]:
    """Return the files of an example, without those that git ignores."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", f"examples/{name}/"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    existing = [ROOT / file for file in filter(None, listed.split("\0"))]
    return sorted(file.relative_to(EXAMPLES / name) for file in existing if file.is_file())


@pytest.mark.parametrize("name", names())
def test_example_is_up_to_date(name: str, template: Path, tmp_path: Path) -> None:
    fresh = render_example(name, template, tmp_path / "project")
    assert committed(name) == files(fresh), "run `just examples`"
    for file in files(fresh):
        assert (EXAMPLES / name / file).read_bytes() == (fresh / file).read_bytes(), f"{file}: run `just examples`"


def test_documented_examples_exist() -> None:
    assert {"backend", "minimal", "starter", "todo"} <= set(names())
