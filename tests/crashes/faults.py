"""Single jobs that fail in unusual ways, while other jobs must still be processed."""

import time
from collections.abc import Callable

from tests.crashes.deployment import JobDeployment, ManagedProcess
from tests.crashes.load import BATCH, Load, evaluate
from tests.matrix.processes import StepError
from tests.matrix.service import wait_until

SECONDS = 90  # time limit of each step
OTHER_JOBS = 5 * BATCH
NO_WORKER_LIVED = "the last attempt ended without a result"
LEASE_SECONDS = 8  # by then the lease of a job has expired, and relays try to requeue it


def worker_killing(deployment: JobDeployment) -> None:
    """A job that kills its worker becomes a dead letter."""
    deployment.begin_scenario()
    _submit(deployment, kind="kill_worker")
    other_jobs = Load(deployment, OTHER_JOBS).start()
    _wait_for(
        deployment,
        lambda: _restart_workers(deployment) and _dead_letters(deployment) == 1,
        "the job is not a dead letter",
    )
    _expect_others_done(deployment, other_jobs, dead=1)
    _expect_dead_letter(deployment, "kill_worker", NO_WORKER_LIVED)


def never_ending(deployment: JobDeployment) -> None:
    """A job that never ends is stopped, retried, and finally becomes a dead letter."""
    deployment.begin_scenario()
    _submit(deployment, kind="never_end")
    _expect_others_done(deployment, Load(deployment, OTHER_JOBS).start(), dead=1)
    _expect_dead_letter(deployment, "never_end", "did not finish within")


def hanging(deployment: JobDeployment) -> None:
    """A worker that hangs in a transaction keeps the jobs it has fetched, but blocks no others."""
    deployment.begin_scenario()
    _submit(deployment, kind="hang")
    _wait_for(deployment, lambda: bool(deployment.trace("hanging")), "no worker hangs")
    time.sleep(LEASE_SECONDS)
    other_jobs = Load(deployment, OTHER_JOBS).start()
    other_jobs.finish(SECONDS)
    _wait_for(
        deployment, lambda: len(deployment.trace("started")) >= OTHER_JOBS // 2, "the hanging job blocks the others"
    )
    _wait_for(
        deployment,
        lambda: _kill_hanging_workers(deployment) and _dead_letters(deployment) == 1,
        "the job is not a dead letter",
    )
    _expect_others_done(deployment, other_jobs, dead=1)
    _expect_dead_letter(deployment, "hang", NO_WORKER_LIVED)


def large(deployment: JobDeployment) -> None:
    """A job can have an argument of one megabyte."""
    deployment.begin_scenario()
    number = _submit(deployment, kind="record", size=1_000_000)
    deployment.wait_until_idle(SECONDS)
    _expect_correct(deployment, [number])


def unknown_task(deployment: JobDeployment) -> None:
    """A job of a new version stays pending until workers of that version are running."""
    deployment.begin_scenario()
    deployment["api"].kill()
    deployment.start("api", PROBE_NEW="yes")
    number = _submit(deployment, kind="new_task")
    other_jobs = Load(deployment, OTHER_JOBS).start()
    _wait_for(
        deployment,
        lambda: "no task is named new_task" in deployment.log_output(),
        "no worker logs the unknown task",
    )
    other_jobs.finish(SECONDS)
    for worker in _workers(deployment):
        worker.terminate()
        deployment.start(worker.name, PROBE_NEW="yes")
    deployment.wait_until_idle(SECONDS)
    _expect_correct(deployment, other_jobs.accepted)
    if [number] not in deployment.observe("ledger")["effects"]:
        raise deployment.error("the job of the new version was not processed")


FAULTS = (worker_killing, never_ending, hanging, large, unknown_task)


def _submit(deployment: JobDeployment, **request: object) -> int:
    """Submit one job, and return its number."""
    number = deployment.first_number + 1
    if not Load(deployment, 1).submit([{"number": number, **request}]):
        raise deployment.error(f"rejected: {request}")
    return number


def _wait_for(deployment: JobDeployment, condition: Callable[[], bool], otherwise: str) -> None:
    if not wait_until(condition, SECONDS):
        raise deployment.error(f"{otherwise} after {SECONDS} seconds: {deployment.observe('waiting')}")


def _dead_letters(deployment: JobDeployment) -> int:
    return (deployment.observe("waiting") or {}).get("dead", 0)


def _restart_workers(deployment: JobDeployment) -> bool:
    """Start workers that have ended, as a container orchestrator does."""
    for worker in _workers(deployment):
        worker.start()
    return True


def _kill_hanging_workers(deployment: JobDeployment) -> bool:
    """Kill and restart workers that do not respond, as a container orchestrator does."""
    hanging = {pid for _, pid, _ in deployment.trace("hanging")}
    for worker in _workers(deployment):
        if worker.process and worker.process.pid in hanging:
            worker.kill()
    return _restart_workers(deployment)


def _workers(deployment: JobDeployment) -> list[ManagedProcess]:
    return [deployment["worker-1"], deployment["worker-2"]]


def _expect_others_done(deployment: JobDeployment, other_jobs: Load, dead: int) -> None:
    other_jobs.finish(SECONDS)
    deployment.wait_until_idle(SECONDS, dead)
    _expect_correct(deployment, other_jobs.accepted)


def _expect_correct(deployment: JobDeployment, accepted: list[int]) -> None:
    if failure := evaluate("", deployment, accepted).failure:
        raise StepError(failure)


def _expect_dead_letter(deployment: JobDeployment, *words: str) -> None:
    """Expect one dead letter, listed with certain words, and delete it."""
    output = deployment.app("dead-letters", "list")
    if missing := [word for word in words if word not in output]:
        raise deployment.error(f"`app dead-letters list` does not say {missing}, but:\n{output}")
    deployment.app("dead-letters", "drop", "--all")
