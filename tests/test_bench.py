"""The benchmarks run. No test depends on the speed of this machine."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.bench.soak import ALLOWED, Growth, Sample
from tests.rendering import ROOT


def _run_module(*command: str) -> str:
    result = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.complete
@pytest.mark.execution
def test_benchmark_writes_table_and_chart(tmp_path: Path) -> None:
    what = ["--database", "sqlite", "--only", "health,get,create,login", "--write", str(tmp_path / "performance")]
    output = _run_module("tests.bench", *what, "--rounds", "1", "--seconds", "0.2", "--connections", "2")

    written = (tmp_path / "performance.md").read_text(encoding="utf-8")
    for request in ("health", "get", "create", "login"):
        assert f"### {request}" in written
        assert request in output
    lines = [line for line in written.splitlines() if line.startswith(("| bare", "| ours"))]
    assert len(lines) == 2 * 5, "four requests, and the memory of both servers"
    assert all(" 1.00 x " in line for line in lines[:8] if line.startswith("| bare"))
    assert len(ET.parse(tmp_path / "performance.svg").findall("{*}rect")) == 2 * 4  # noqa: S314 - written by this test


@pytest.mark.complete
@pytest.mark.execution
def test_soak_reports_resources() -> None:
    output = _run_module("tests.bench.soak", "--minutes", "0.25", "--no-judge")
    assert all(name in output for name in ("login", *ALLOWED)), output


@pytest.mark.complete
@pytest.mark.execution
def test_layers_are_measured() -> None:
    output = _run_module("tests.bench.layers", "--requests", "1", "--rounds", "1")
    assert all(layer in output for layer in ("SELECT 1", "BEGIN", "load the entity", "the change for the feed")), output


@pytest.mark.complete
@pytest.mark.execution
def test_copying_compares_with_plain_files() -> None:
    assert re.search(r"plain files .*\s\d\.\d\d times", _run_module("tests.bench.copying", "--rounds", "1"), re.DOTALL)


@pytest.mark.parametrize("leaking", [*ALLOWED])
def test_growth_is_detected(leaking: str) -> None:
    steady: dict[str, Any] = {"memory": 140.0, "files": 60, "threads": 8, "connections": 20}
    samples = [Sample(**steady | {leaking: steady[leaking] * (1 + number / 100)}) for number in range(100)]
    assert [name for name in ALLOWED if Growth.of(name, samples).grew] == [leaking]
