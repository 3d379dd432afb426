"""No background work is lost when processes are killed; `python -m tests.crashes` prints the numbers in a table.

`just test` runs a tenth of the load, `just test-all` adds the other nine tenths. CRASH_JOBS (default 10,000; a quarter
on SQLite) and CRASH_EVENTS (default 20,000) set the total load, and CRASH_SEED repeats a run.
"""

import os
import random

import pytest

from tests.crashes.deployment import deploy_jobs
from tests.crashes.events import EVENT_SCENARIOS, EVENTS, run_event_scenario
from tests.crashes.events_deployment import deploy_events
from tests.crashes.faults import FAULTS
from tests.crashes.project import project
from tests.crashes.scenarios import JOBS, run_scenario, scenarios
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


def test_no_job_is_lost_with_postgres(jobs: int, seed: int, subtests: pytest.Subtests) -> None:
    with project("postgres") as folder, deploy_jobs(folder) as deployment:
        for each in scenarios("postgres"):
            with subtests.test(each.name, CRASH_SEED=seed):
                outcome = run_scenario(each, deployment, jobs, seed)
                assert not outcome.failure, outcome
        for fault in FAULTS:
            with subtests.test(fault.__name__):
                fault(deployment)


def test_no_job_is_lost_with_sqlite(jobs: int, seed: int, subtests: pytest.Subtests) -> None:
    with project("sqlite") as folder, deploy_jobs(folder) as deployment:
        for each in scenarios("sqlite"):
            with subtests.test(each.name, CRASH_SEED=seed):
                outcome = run_scenario(each, deployment, jobs // 4, seed)
                assert not outcome.failure, outcome


def test_no_event_is_lost_with_kafka(share: float, seed: int, subtests: pytest.Subtests) -> None:
    events = round(share * int(os.environ.get("CRASH_EVENTS") or EVENTS))
    try:
        with deploy_events() as deployment:
            for each in EVENT_SCENARIOS:
                with subtests.test(each.name, CRASH_SEED=seed):
                    outcome = run_event_scenario(each, deployment, events, seed)
                    assert not outcome.failure, outcome
    except NoKafkaError as reason:
        pytest.skip(str(reason))
