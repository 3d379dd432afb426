"""Nothing gets dearer because a table is large: what queries read of a million rows and of ten thousand is counted, not timed."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bench.targets import install, workplace
from tests.matrix.processes import run
from tests.matrix.service import database
from tests.rendering import snapshot

pytestmark = [pytest.mark.complete, pytest.mark.execution]

PROGRAMS = Path(__file__).parent / "bench/growth"
SIZES = 10_000, 1_000_000
FACTOR, LEVELS = 2, 3  # the trees of a hundred times as many rows are some levels higher

Read = dict[str, Any]


def grown(program: str, **answers: object) -> dict[str, list[Read]]:
    """Return what each query of a project has read, at each size."""
    with workplace() as folder:
        project = install(snapshot(folder / "template"), folder / "project", database="postgres", **answers)
        with database(project) as url:
            run(project, ".venv/bin/app", "db", "upgrade", ENV="dev", DATABASE_URL=url)
            ask = (".venv/bin/python", str(PROGRAMS / program), *map(str, SIZES))
            told = run(project, *ask, ENV="dev", DATABASE_URL=url)
    return json.loads(told.splitlines()[-1])


def check_flat(small: Read, large: Read) -> None:
    """Expect an answer from a large table to take what it takes from a small one; who sorts everything has to read it, too."""
    assert not any("Seq Scan" in node for node in large["nodes"]), large
    assert large["rows"] <= FACTOR * small["rows"], (small, large)
    assert large["buffers"] <= FACTOR * small["buffers"] + LEVELS, (small, large)


def test_lists_and_look_ups_stay_as_they_are(subtests: pytest.Subtests) -> None:
    for name, (small, large) in grown("lists.py").items():
        with subtests.test(name):
            if name.startswith("rare to-dos of many"):  # no index knows the status; docs/performance.md says so
                assert large["rows"] <= SIZES[1] / 2, "it reads more than the to-dos of one person"
            else:
                check_flat(small, large)


def test_relays_stay_as_they_are(subtests: pytest.Subtests) -> None:
    for name, (small, large) in grown("outbox.py", kafka=True, workers=True).items():
        with subtests.test(name):
            check_flat(small, large)
