"""Scenarios for background jobs: faults under load. `run_scenario` waits until all jobs are processed, and evaluates."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

from tests.crashes.deployment import ROLES, JobDeployment, ManagedProcess
from tests.crashes.load import LONGEST_PAUSE, NUMBERS_PER_LOAD, Load, Outcome, evaluate
from tests.matrix.service import wait_until

JOBS = 10_000  # in total, divided among the scenarios
DRAIN_SECONDS = 600  # time limit for processing all jobs after the last one was accepted
LOAD_SECONDS = 300  # additional time limit for submitting jobs
RETRY_SECONDS = 60  # within which another worker must start the jobs of a killed one
WORK_SECONDS = 1  # time limit for waiting until a fault can interrupt a job
FAULTS_PER_SCENARIO = 8  # more take long and find nothing new
ATTEMPTS = 3  # a scenario is repeated until its condition is met

Action = Callable[[JobDeployment, int, random.Random], list[Load]]
Condition = Callable[[JobDeployment, Outcome], str]


@dataclass(frozen=True)
class Scenario:
    """A scenario with its share of the jobs, and the condition under which its result is meaningful."""

    name: str
    run: Action
    share: float
    on_sqlite: bool = False
    condition: Condition = lambda *_: ""

    def __str__(self) -> str:
        return self.name


def run_scenario(chosen: Scenario, deployment: JobDeployment, jobs: int, seed: int) -> Outcome:
    """Run a scenario with its share of the jobs; repeat it if only its condition was not met.

    Raises:
        StepError: If a process misbehaves, or jobs are not processed in time.
    """
    for attempt in range(ATTEMPTS):
        outcome = _run_once(chosen, deployment, jobs, seed + attempt)
        if outcome.failure != outcome.unmet or not outcome.unmet:
            break
    return outcome


def _run_once(chosen: Scenario, deployment: JobDeployment, jobs: int, seed: int) -> Outcome:
    started = deployment.begin_scenario()
    loads = chosen.run(deployment, round(jobs * chosen.share), random.Random(seed))  # noqa: S311 - not for secrets
    requested = time.monotonic()
    deployment.wait_until_idle(DRAIN_SECONDS)
    done = time.monotonic()
    accepted = [number for load in loads for number in load.accepted]
    outcome = replace(evaluate(chosen.name, deployment, accepted), drained=done - requested, seconds=done - started)
    return replace(outcome, unmet=chosen.condition(deployment, outcome))


def scenarios(database: str) -> list[Scenario]:
    """Return the scenarios for a database. SQLite has only those that involve its single write lock."""
    return [each for each in SCENARIOS if each.on_sqlite or database != "sqlite"]


def log_contains(words: str) -> Condition:
    """Require a message in a log."""
    return lambda deployment, _: "" if words in deployment.log_output() else f"no log contains {words!r}"


def jobs_were_retried(_: JobDeployment, outcome: Outcome) -> str:
    """Require that other workers have retried the jobs of killed workers soon."""
    if not outcome.retry_delays:
        return "no job was interrupted"
    longest = max(outcome.retry_delays)
    return "" if longest < RETRY_SECONDS else f"an interrupted job waited {longest:.0f} seconds"


def api_killed(deployment: JobDeployment, jobs: int, rng: random.Random) -> list[Load]:
    """Kill the API right after its responses, and under load; nothing is relayed until the end."""
    for name in ROLES:
        if name != "api":
            deployment[name].kill()
    load = Load(deployment, jobs // 2).start()
    load.finish(LOAD_SECONDS)
    deployment["api"].kill()
    deployment.start("api")
    more = Load(deployment, jobs - jobs // 2, seconds=4, part=1).start()
    _repeat(deployment, [more], rng, ["api"], lambda name: deployment[name].kill())
    deployment["api"].kill()
    return [load, more]


def relay_killed(deployment: JobDeployment, jobs: int, rng: random.Random) -> list[Load]:
    """Kill the relays repeatedly."""
    return _under_load(deployment, jobs, rng, ["relay-1", "relay-2"])


def worker_killed(deployment: JobDeployment, jobs: int, rng: random.Random) -> list[Load]:
    """Kill a worker in the middle of a job, repeatedly."""
    numbers = count(deployment.first_number + 3 * NUMBERS_PER_LOAD)
    long_jobs = Load(deployment, 1, part=2)

    def kill_during_job(_: str) -> None:
        number = next(numbers)
        request = {"kind": "record", "number": number, "pause": LONGEST_PAUSE}
        wait_until(lambda: long_jobs.submit([request]), LOAD_SECONDS)
        wait_until(lambda: _worker_of(deployment, number) is not None, LOAD_SECONDS)
        if worker := _worker_of(deployment, number):
            worker.kill()

    return _under_load(deployment, jobs, rng, ["worker-1", "worker-2"], kill_during_job)


def redis_emptied(deployment: JobDeployment, jobs: int, rng: random.Random) -> list[Load]:
    """Restart Redis without its data."""
    return _under_load(deployment, jobs, rng, ["redis"], lambda _: deployment.redis.restart(empty=True))


def redis_restarted(deployment: JobDeployment, jobs: int, rng: random.Random) -> list[Load]:
    """Restart Redis with its data."""
    return _under_load(deployment, jobs, rng, ["redis"], lambda _: deployment.redis.restart(empty=False))


def postgres_restarted(deployment: JobDeployment, jobs: int, rng: random.Random) -> list[Load]:
    """Restart PostgreSQL, cleanly and as after a crash."""
    return _under_load(
        deployment, jobs, rng, ["postgres"], lambda _: deployment.database.restart(rng.choice(["fast", "immediate"]))
    )


def terminated(deployment: JobDeployment, jobs: int, rng: random.Random) -> list[Load]:
    """Stop each process with SIGTERM, as a deployment does."""
    return _under_load(deployment, jobs, rng, sorted(ROLES), lambda name: deployment[name].terminate(), seconds=20)


def everything_combined(deployment: JobDeployment, jobs: int, rng: random.Random) -> list[Load]:
    """Inject all kinds of faults in random order."""
    faults: dict[str, Callable[[], object]] = {f"kill {name}": deployment[name].kill for name in ROLES}
    faults |= {f"stop {name}": lambda name=name: deployment[name].terminate() for name in ROLES}
    faults |= {"empty redis": lambda: deployment.redis.restart(empty=True)}
    faults |= {"restart redis": lambda: deployment.redis.restart(empty=False)}
    if deployment.database.restartable:
        faults |= {mode: lambda mode=mode: deployment.database.restart(mode) for mode in ("fast", "immediate")}
    return _under_load(deployment, jobs, rng, sorted(faults), lambda name: faults[name](), seconds=20)


def clock_changed(deployment: JobDeployment, jobs: int, rng: random.Random) -> list[Load]:
    """Move the clock of all processes forward and back by an hour."""
    del rng
    for name in ROLES:
        deployment[name].kill()
    deployment.start(*ROLES, PROBE_CLOCK="yes")
    load = Load(deployment, jobs, seconds=8).start()
    for offset in (3600, 0, -3600, 0):
        time.sleep(2)
        (deployment.folder / "clock").write_text(str(offset), encoding="utf-8")
    load.finish(LOAD_SECONDS)
    return [load]


def _under_load(
    deployment: JobDeployment,
    jobs: int,
    rng: random.Random,
    targets: list[str],
    inject: Callable[[str], object] | None = None,
    seconds: float = 8,
) -> list[Load]:
    """Inject faults into the targets while two clients submit jobs."""
    loads = [Load(deployment, jobs // 2, seconds, part).start() for part in (0, 1)]
    _repeat(deployment, loads, rng, targets, inject or (lambda name: deployment[name].kill()))
    return loads


def _repeat(
    deployment: JobDeployment,
    loads: list[Load],
    rng: random.Random,
    targets: list[str],
    inject: Callable[[str], object],
) -> None:
    """Inject a fault into each target at least once, as long as there is load; restart ended processes shortly after."""
    remaining, injected = list(targets), 0
    while remaining or (injected < FAULTS_PER_SCENARIO and any(load.running() for load in loads)):
        time.sleep(rng.uniform(0.3, 1.0))
        wait_until(lambda: _has_work(deployment), WORK_SECONDS)
        inject(remaining.pop(rng.randrange(len(remaining))) if remaining else rng.choice(targets))
        injected += 1
        time.sleep(rng.uniform(0, 0.5))
        if ended := [name for name in ROLES if deployment[name].ended()]:
            deployment.start(*ended)
    for load in loads:
        load.finish(LOAD_SECONDS)


def _worker_of(deployment: JobDeployment, number: int) -> ManagedProcess | None:
    """Return the worker that started a job, None if none has."""
    started = {pid for started, pid, _ in deployment.trace("started") if started == number}
    workers = (deployment[name] for name in ROLES if name.startswith("worker"))
    return next((worker for worker in workers if worker.process and worker.process.pid in started), None)


def _has_work(deployment: JobDeployment) -> bool:
    return bool((deployment.observe("waiting") or {}).get("running"))


SCENARIOS = (
    Scenario("api killed", api_killed, 0.12),
    Scenario("relay killed", relay_killed, 0.12),
    Scenario("worker killed", worker_killed, 0.12, on_sqlite=True, condition=jobs_were_retried),
    Scenario("redis emptied", redis_emptied, 0.12, condition=log_contains("jobs: lost by the destination, requeued")),
    Scenario("redis restarted", redis_restarted, 0.12),
    Scenario("postgres restarted", postgres_restarted, 0.12),
    Scenario("terminated", terminated, 0.1, condition=log_contains("job released, worker is stopping")),
    Scenario("clock changed", clock_changed, 0.08),
    Scenario("everything combined", everything_combined, 0.2, on_sqlite=True),
)
