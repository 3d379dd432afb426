"""Projects measure coverage in two ways, depending on the Python version; both must report the same lines."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.matrix import processes
from tests.matrix.execution import why_not
from tests.matrix.variants import COUNTED_ON, Variant
from tests.rendering import Answers

MEASURED = ("executed_lines", "missing_lines", "executed_branches", "missing_branches")
PART = ("tests/db", "tests/modules")  # of the tests, so that there are lines that none of them reaches
SYSMON = 'concurrency = ["thread"]\n'
CTRACE = 'core = "ctrace"\nconcurrency = ["greenlet", "thread"]\n'


def measure(project: Path, core: str) -> dict[str, Any]:
    """Return what a part of a project's tests reaches, by file; check which core of coverage.py measured it."""
    report, debug = project / f"{core}.json", project / f"{core}.log"
    pytest_run = ("uv", "run", "pytest", *PART, f"--cov-report=json:{report}", "--cov-fail-under=0")
    measured = {"COVERAGE_DEBUG": "sys", "COVERAGE_DEBUG_FILE": str(debug)}
    processes.run(project, *pytest_run, **processes.testing(1), **measured)
    cores = {line.split()[-1] for line in debug.read_text(encoding="utf-8").splitlines() if " core: " in line}
    assert cores - {"-none-"} == {core}  # what only combines reports measures nothing
    files = json.loads(report.read_text(encoding="utf-8"))["files"]
    return {name: {what: file[what] for what in MEASURED} for name, file in files.items()}


@pytest.mark.execution
def test_both_cores_report_the_same_lines(render: Callable[[Answers], Path], tmp_path: Path) -> None:
    variant = Variant("counted", {"preset": "minimal", "python_version": COUNTED_ON})
    if reason := why_not(variant):
        pytest.skip(reason)
    project = shutil.copytree(render(variant.answers), tmp_path / "project")
    settings = project / "pyproject.toml"
    text = settings.read_text(encoding="utf-8")
    assert SYSMON in text

    by_events = measure(project, "SysMonitor")
    settings.write_text(text.replace(SYSMON, CTRACE), encoding="utf-8")
    by_trace_function = measure(project, "CTracer")

    assert by_events == by_trace_function
    for kind in MEASURED:
        assert any(file[kind] for file in by_events.values()), f"no {kind} to compare"
