"""Background work survives what happens to its processes; `python -m tests.crashes` has the numbers in a table.

CRASH_JOBS (10,000 if not set) says how many jobs there are in all, and CRASH_SEED repeats a run.
"""

import os
import random
from collections.abc import Callable, Generator

import pytest

from tests.crashes.mishaps import MISHAPS
from tests.crashes.project import project
from tests.crashes.scenarios import JOBS, PLAYS, Play, play
from tests.crashes.site import Site, site

pytestmark = [pytest.mark.execution]


@pytest.fixture(scope="module")
def postgres() -> Generator[Site]:
    with project("postgres") as folder, site(folder) as made:
        yield made


@pytest.fixture(scope="module")
def sqlite() -> Generator[Site]:
    with project("sqlite") as folder, site(folder) as made:
        yield made


@pytest.fixture(scope="module")
def seed() -> int:
    return int(os.environ.get("CRASH_SEED") or random.randrange(1, 10_000))  # noqa: S311 - not for secrets


@pytest.mark.parametrize("chosen", PLAYS, ids=str)
def test_nothing_is_lost_on_postgres(chosen: Play, postgres: Site, seed: int) -> None:
    outcome = play(chosen, postgres, int(os.environ.get("CRASH_JOBS", JOBS)), seed)
    assert not outcome.failure, f"{outcome} CRASH_SEED={seed}"


@pytest.mark.parametrize("chosen", [each for each in PLAYS if each.on_sqlite], ids=str)
def test_nothing_is_lost_on_sqlite(chosen: Play, sqlite: Site, seed: int) -> None:
    outcome = play(chosen, sqlite, int(os.environ.get("CRASH_JOBS", JOBS)) // 4, seed)
    assert not outcome.failure, f"{outcome} CRASH_SEED={seed}"


@pytest.mark.parametrize("mishap", MISHAPS, ids=lambda mishap: mishap.__name__)
def test_others_go_on(mishap: Callable[[Site], None], postgres: Site) -> None:
    mishap(postgres)
