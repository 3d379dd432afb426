"""Single jobs that go wrong, while others are to go on."""

import time
from collections.abc import Callable

from tests.crashes.load import BATCH, Load, judge
from tests.crashes.site import Member, Site
from tests.matrix.processes import StepError
from tests.matrix.service import wait_until

SECONDS = 90  # so long each step may take
OTHERS = 5 * BATCH
NO_WORKER_LIVED = "no worker has lived through it in 2 attempts"
LEASE_SECONDS = 8  # by then the time of a job is over, and the relays want to give it to somebody else


def poison(site: Site) -> None:
    """A job that kills its worker ends as a dead letter."""
    site.begin()
    _ask(site, kind="kill_worker")
    others = Load(site, OTHERS).start()
    _until(site, lambda: _revive(site) and _dead(site) == 1, "the job is no dead letter")
    _others_are_done(site, others, dead=1)
    _require(site, "kill_worker", NO_WORKER_LIVED)


def endless(site: Site) -> None:
    """A job that never ends is stopped, tried again, and a dead letter at last."""
    site.begin()
    _ask(site, kind="never_end")
    _others_are_done(site, Load(site, OTHERS).start(), dead=1)
    _require(site, "never_end", "did not end within")


def hanging(site: Site) -> None:
    """A worker that hangs in the middle of a transaction keeps what it has fetched, and holds up nothing else."""
    site.begin()
    _ask(site, kind="hang")
    _until(site, lambda: bool(site.lines("hanging")), "no worker hangs")
    time.sleep(LEASE_SECONDS)
    others = Load(site, OTHERS).start()
    others.finish(SECONDS)
    _until(site, lambda: len(site.lines("started")) >= OTHERS // 2, "the others wait for the one that hangs")
    _until(site, lambda: _end_hanging(site) and _dead(site) == 1, "the job is no dead letter")
    _others_are_done(site, others, dead=1)
    _require(site, "hang", NO_WORKER_LIVED)


def large(site: Site) -> None:
    """A job may be called with a megabyte."""
    site.begin()
    number = _ask(site, kind="note", size=1_000_000)
    site.settle(SECONDS)
    _nothing_wrong(site, [number])


def unknown(site: Site) -> None:
    """A job that only the new version knows waits until its workers are there."""
    site.begin()
    site["api"].kill()
    site.start("api", PROBE_NEW="yes")
    number = _ask(site, kind="new_task")
    others = Load(site, OTHERS).start()
    _until(site, lambda: "there is no task new_task here" in site.written(), "no worker wonders about it")
    others.finish(SECONDS)
    for worker in _workers(site):
        worker.terminate()
        site.start(worker.name, PROBE_NEW="yes")
    site.settle(SECONDS)
    _nothing_wrong(site, others.answered)
    if [number] not in site.observe("ledger")["effects"]:
        raise site.error("the job of the new version was not done")


MISHAPS = (poison, endless, hanging, large, unknown)


def _ask(site: Site, **order: object) -> int:
    """Ask for one job, and return its number."""
    number = site.first + 1
    if not Load(site, 1).ask([{"number": number, **order}]):
        raise site.error(f"refused: {order}")
    return number


def _until(site: Site, condition: Callable[[], bool], otherwise: str) -> None:
    if not wait_until(condition, SECONDS):
        raise site.error(f"{otherwise} after {SECONDS} seconds: {site.observe('waiting')}")


def _dead(site: Site) -> int:
    return (site.observe("waiting") or {}).get("dead", 0)


def _revive(site: Site) -> bool:
    """Start workers that have ended, as whatever runs containers does."""
    for worker in _workers(site):
        worker.start()
    return True


def _end_hanging(site: Site) -> bool:
    """Kill and start workers that do not answer, as whatever runs containers does."""
    hanging = {pid for _, pid, _ in site.lines("hanging")}
    for worker in _workers(site):
        if worker.process and worker.process.pid in hanging:
            worker.kill()
    return _revive(site)


def _workers(site: Site) -> list[Member]:
    return [site["worker-1"], site["worker-2"]]


def _others_are_done(site: Site, others: Load, dead: int) -> None:
    others.finish(SECONDS)
    site.settle(SECONDS, dead)
    _nothing_wrong(site, others.answered)


def _nothing_wrong(site: Site, answered: list[int]) -> None:
    if failure := judge("", site, answered).failure:
        raise StepError(failure)


def _require(site: Site, *words: str) -> None:
    """Expect one dead letter, that the command tells of it, and that another deletes it."""
    said = site.app("dead-letters", "list")
    if missing := [word for word in words if word not in said]:
        raise site.error(f"`app dead-letters list` does not say {missing}, but:\n{said}")
    site.app("dead-letters", "drop", "--all")
