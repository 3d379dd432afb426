"""Every variant at work: it installs, passes its own checks and tests, builds its site, serves and stops.

`python -m tests.matrix run` does the same for people, with a table.
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
"""The variants that `just test` executes: each feature is on in one of them."""

ROWS = [
    pytest.param(variant, id=variant.name, marks=() if variant.name in ESSENTIAL else pytest.mark.complete)
    for variant in variants()
]


@pytest.fixture(scope="session")
def processes() -> int:
    """How many processes each project may test with, so that together they are as many as the processors."""
    return max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """Where each project stands, one after the other.

    At the same place they have the same packages, so what Python has compiled for one serves the next: to compile them
    all takes as long as a tenth of the tests.
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


def test_each_feature_is_on_in_an_essential_variant() -> None:
    features = [resolve(variant.answers)["features"] for variant in variants() if variant.name in ESSENTIAL]
    assert len(features) == len(ESSENTIAL)
    assert [name for name in features[0] if not any(each[name]["enabled"] for each in features)] == []


def test_every_choice_is_executed() -> None:
    """Nothing that can be answered is only rendered."""
    if reasons := {why_not(variant) for variant in variants()} - {""}:
        pytest.skip("; ".join(sorted(reasons)))
    executed = [answered(variant) for variant in variants()]
    assert {question: {given[question] for given in executed} for question in choices()} == {
        question: set(values) for question, values in choices().items()
    }
    assert {main(given) for given in executed} == set(combinations())
