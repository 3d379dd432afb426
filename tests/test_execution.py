"""Every variant can be installed, passes its checks and tests, builds its documentation, and runs in production mode.

`python -m tests.matrix run` does the same, and prints a table.
"""

import os
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.matrix.execution import execute, why_not
from tests.matrix.processes import scratch
from tests.matrix.variants import Variant, answered, combinations, main, variants
from tests.questionnaire import choices, resolve

ESSENTIAL = ("default", "minimal", "backend", "starter", "todo")
"""The variants that `just test` executes. Each feature is enabled in at least one of them."""

ROWS = [
    pytest.param(variant, id=variant.name, marks=() if variant.name in ESSENTIAL else pytest.mark.complete)
    for variant in variants()
]


@pytest.fixture(scope="session")
def processes() -> int:
    """Number of test processes for each project, so that all projects together use every processor."""
    return max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """The folder of the current project. All projects use the same path, one after the other.

    Their packages then have the same paths too, so Python can reuse the bytecode. Compiling takes a tenth of the time of
    the tests.
    """
    base = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(base / "bytecode"))
    project = base / "variant"
    yield project
    for left in (project, *Path(scratch(project)).iterdir()):
        shutil.rmtree(left, ignore_errors=True)


@pytest.mark.execution
@pytest.mark.parametrize("variant", ROWS)
def test_variant_works(variant: Variant, template: Path, folder: Path, processes: int) -> None:
    if reason := why_not(variant):
        pytest.skip(reason)
    result = execute(variant, template, folder, processes=processes)
    assert not result.failure, result.failure


def test_each_feature_is_enabled_in_an_essential_variant() -> None:
    features = [resolve(variant.answers)["features"] for variant in variants() if variant.name in ESSENTIAL]
    assert len(features) == len(ESSENTIAL)
    assert [name for name in features[0] if not any(each[name]["enabled"] for each in features)] == []


def test_every_choice_is_executed() -> None:
    """No choice is only rendered."""
    if reasons := {why_not(variant) for variant in variants()} - {""}:
        pytest.skip("; ".join(sorted(reasons)))
    executed = [answered(variant) for variant in variants()]
    assert {question: {given[question] for given in executed} for question in choices()} == {
        question: set(values) for question, values in choices().items()
    }
    assert {main(given) for given in executed} == set(combinations())
