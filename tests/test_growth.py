"""Queries do not read more from large tables: rows and buffers are counted for ten thousand and a million rows."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bench.targets import install, temporary_folder
from tests.matrix.processes import run
from tests.matrix.service import database
from tests.rendering import snapshot

pytestmark = [pytest.mark.complete, pytest.mark.execution]

PROGRAMS = Path(__file__).parent / "bench/growth"
SIZES = 10_000, 1_000_000
FACTOR, LEVELS = 2, 3  # index trees of a hundred times as many rows have some more levels

Read = dict[str, Any]


def run_growth_program(program: str, **answers: object) -> dict[str, list[Read]]:
    """Return what each query of a project reads, for each size."""
    with temporary_folder() as folder:
        project = install(snapshot(folder / "template"), folder / "project", database="postgres", **answers)
        with database(project) as url:
            run(project, ".venv/bin/app", "db", "upgrade", ENV="dev", DATABASE_URL=url)
            ask = (".venv/bin/python", str(PROGRAMS / program), *map(str, SIZES))
            output = run(project, *ask, ENV="dev", DATABASE_URL=url)
    return json.loads(output.splitlines()[-1])


def expect_constant(small: Read, large: Read) -> None:
    """Expect a query to read as much from a large table as from a small one; sorting all rows would read them all."""
    assert not any("Seq Scan" in node for node in large["nodes"]), large
    assert large["rows"] <= FACTOR * small["rows"], (small, large)
    assert large["buffers"] <= FACTOR * small["buffers"] + LEVELS, (small, large)


def test_lists_and_look_ups_read_constant_amounts(subtests: pytest.Subtests) -> None:
    for name, (small, large) in run_growth_program("lists.py").items():
        with subtests.test(name):
            if name.startswith("rare to-dos of many"):  # no index contains the status: see docs/performance.md
                assert large["rows"] <= SIZES[1] / 2, "the query reads more than the to-dos of one user"
            else:
                expect_constant(small, large)


def test_relays_read_constant_amounts(subtests: pytest.Subtests) -> None:
    for name, (small, large) in run_growth_program("outbox.py", kafka=True, workers=True).items():
        with subtests.test(name):
            expect_constant(small, large)
