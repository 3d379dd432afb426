"""Background work survives crashes of every process involved; `python -m tests.crashes` prints the numbers in a table.

`just test` runs a tenth of the load, `just test-all` adds the other nine tenths. CRASH_JOBS (default 10,000; a quarter of
it on SQLite) and CRASH_EVENTS (default 20,000) set the whole load, and CRASH_SEED repeats a run.
"""

import os
import random

import pytest

from tests.crashes.events import EVENT_PLAYS, EVENTS, play_events
from tests.crashes.events_site import event_site
from tests.crashes.mishaps import MISHAPS
from tests.crashes.project import project
from tests.crashes.scenarios import JOBS, play, plays
from tests.crashes.site import site
from tests.kafka.broker import NoKafkaError

pytestmark = pytest.mark.execution


@pytest.fixture(params=[pytest.param(0.1, id="tenth"), pytest.param(0.9, id="rest", marks=pytest.mark.complete)])
def share(request: pytest.FixtureRequest) -> float:
    return request.param


@pytest.fixture
def jobs(share: float) -> int:
    return round(share * int(os.environ.get("CRASH_JOBS") or JOBS))


@pytest.fixture
def seed() -> int:
    return int(os.environ.get("CRASH_SEED") or random.randrange(1, 10_000))  # noqa: S311 - not for secrets


def test_nothing_is_lost_and_others_go_on_with_postgres(jobs: int, seed: int, subtests: pytest.Subtests) -> None:
    with project("postgres") as folder, site(folder) as made:
        for each in plays("postgres"):
            with subtests.test(each.name, CRASH_SEED=seed):
                outcome = play(each, made, jobs, seed)
                assert not outcome.failure, outcome
        for mishap in MISHAPS:
            with subtests.test(mishap.__name__):
                mishap(made)


def test_nothing_is_lost_with_sqlite(jobs: int, seed: int, subtests: pytest.Subtests) -> None:
    with project("sqlite") as folder, site(folder) as made:
        for each in plays("sqlite"):
            with subtests.test(each.name, CRASH_SEED=seed):
                outcome = play(each, made, jobs // 4, seed)
                assert not outcome.failure, outcome


def test_no_event_is_lost_between_a_commit_and_its_effect(share: float, seed: int, subtests: pytest.Subtests) -> None:
    events = round(share * int(os.environ.get("CRASH_EVENTS") or EVENTS))
    try:
        with event_site() as made:
            for each in EVENT_PLAYS:
                with subtests.test(each.name, CRASH_SEED=seed):
                    outcome = play_events(each, made, events, seed)
                    assert not outcome.failure, outcome
    except NoKafkaError as reason:
        pytest.skip(str(reason))
