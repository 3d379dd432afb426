"""The benchmark runs. What it measures is for people: nothing here depends on how fast this machine is."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.bench.soak import ALLOWED, Course, Sample
from tests.rendering import ROOT


def _said(*command: str) -> str:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.complete
@pytest.mark.execution
def test_it_measures_in_turns_and_writes_what_it_saw(tmp_path: Path) -> None:
    what = ["--database", "sqlite", "--only", "health,get,create,login", "--write", str(tmp_path / "performance")]
    said = _said("tests.bench", *what, "--rounds", "1", "--seconds", "0.2", "--connections", "2")

    written = (tmp_path / "performance.md").read_text(encoding="utf-8")
    for request in ("health", "get", "create", "login"):
        assert f"### {request}" in written
        assert request in said
    lines = [line for line in written.splitlines() if line.startswith(("| bare", "| ours"))]
    assert len(lines) == 2 * 5, "four requests, and what both hold of the memory"
    assert all(" 1.00 x " in line for line in lines[:8] if line.startswith("| bare"))
    assert len(ET.parse(tmp_path / "performance.svg").findall("{*}rect")) == 2 * 4  # noqa: S314 - it is ours


@pytest.mark.complete
@pytest.mark.execution
def test_it_serves_at_full_load_and_everything_comes_to_its_end() -> None:
    said = _said("tests.bench.soak", "--minutes", "0.25", "--no-judge")
    assert all(name in said for name in ("login", *ALLOWED)), said


@pytest.mark.complete
@pytest.mark.execution
def test_it_tells_what_each_layer_of_a_request_costs() -> None:
    said = _said("tests.bench.layers", "--requests", "1", "--rounds", "1")
    assert all(layer in said for layer in ("SELECT 1", "BEGIN", "the row as an entity", "its number in the feed")), said


@pytest.mark.complete
@pytest.mark.execution
def test_it_compares_a_copy_with_plain_files() -> None:
    assert re.search(r"plain files .*\s\d\.\d\d times", _said("tests.bench.copying", "--rounds", "1"), re.DOTALL)


@pytest.mark.parametrize("leaking", [*ALLOWED])
def test_growth_is_seen(leaking: str) -> None:
    steady: dict[str, Any] = {"memory": 140.0, "files": 60, "threads": 8, "connections": 20}
    samples = [Sample(**steady | {leaking: steady[leaking] * (1 + number / 100)}) for number in range(100)]
    assert [name for name in ALLOWED if Course.of(name, samples).grew] == [leaking]
