"""What may happen to a service. Each scenario leaves it to `play` to wait for the end, and to compare."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.crashes.load import Load, Outcome, judge
from tests.crashes.site import ROLES, Site
from tests.matrix.service import wait_until

JOBS = 10_000  # in all, shared among the scenarios
DRAIN_SECONDS = 600  # so long after the last job all must be done
LOAD_SECONDS = 300  # so much longer than planned it may take to ask for jobs
AGAIN_SECONDS = 60  # so long after the death of a worker somebody else must have begun with its jobs
WORK_SECONDS = 1  # so long a hit waits for somebody who is at work
HITS = 8  # more in a scenario take long, and find nothing new
TURNS = 3  # so often a scenario is played until it has hit somebody at work
NOT_HIT = "no job was interrupted"

Scenario = Callable[[Site, int, random.Random], list[Load]]
Proof = Callable[[Site, Outcome], str]


@dataclass(frozen=True)
class Play:
    """A scenario that is played with its share of the jobs, and says what is missing if it has not come true."""

    name: str
    run: Scenario
    share: float
    on_sqlite: bool = False
    proof: Proof = lambda *_: ""

    def __str__(self) -> str:
        return self.name


def play(chosen: Play, site: Site, jobs: int, seed: int) -> Outcome:
    """Play a scenario with its share of the jobs; again, if all it hit were workers that had nothing to do.

    Raises:
        StepError: If a process does not do what it should, or not all is done in time.
    """
    for turn in range(TURNS):
        outcome = _played(chosen, site, jobs, seed + turn)
        if outcome.failure != NOT_HIT:
            break
    return outcome


def _played(chosen: Play, site: Site, jobs: int, seed: int) -> Outcome:
    began = site.begin()
    loads = chosen.run(site, round(jobs * chosen.share), random.Random(seed))  # noqa: S311 - not for secrets
    asked = time.monotonic()
    site.settle(DRAIN_SECONDS)
    done = time.monotonic()
    answered = [number for load in loads for number in load.answered]
    outcome = replace(judge(chosen.name, site, answered), drained=done - asked, seconds=done - began)
    return replace(outcome, unproven=chosen.proof(site, outcome))


def plays(database: str) -> list[Play]:
    """List what is played with a database: on SQLite only what has to do with its one lock."""
    return [each for each in PLAYS if each.on_sqlite or database != "sqlite"]


def told(words: str) -> Proof:
    """Expect that somebody says so."""
    return lambda site, _: "" if words in site.written() else f"no log says {words!r}"


def begun_again(_: Site, outcome: Outcome) -> str:
    """Expect that jobs of dead workers were given to others, and soon."""
    if not outcome.again:
        return NOT_HIT
    longest = max(outcome.again)
    return "" if longest < AGAIN_SECONDS else f"an interrupted job waited {longest:.0f} seconds"


def api_killed(site: Site, jobs: int, chance: random.Random) -> list[Load]:
    """Kill the API right after its answers, and under load; nothing is relayed before the end."""
    for name in ROLES:
        if name != "api":
            site[name].kill()
    load = Load(site, jobs // 2).start()
    load.finish(LOAD_SECONDS)
    site["api"].kill()
    site.start("api")
    more = Load(site, jobs - jobs // 2, seconds=4, part=1).start()
    _repeat(site, [more], chance, ["api"], lambda name: site[name].kill())
    site["api"].kill()
    return [load, more]


def relay_killed(site: Site, jobs: int, chance: random.Random) -> list[Load]:
    """Kill one relay or the other, again and again."""
    return _under_load(site, jobs, chance, ["relay-1", "relay-2"])


def worker_killed(site: Site, jobs: int, chance: random.Random) -> list[Load]:
    """Kill one worker or the other, again and again."""
    return _under_load(site, jobs, chance, ["worker-1", "worker-2"])


def redis_emptied(site: Site, jobs: int, chance: random.Random) -> list[Load]:
    """Let Redis come back with nothing."""
    return _under_load(site, jobs, chance, ["redis"], lambda _: site.redis.restart(empty=True))


def redis_restarted(site: Site, jobs: int, chance: random.Random) -> list[Load]:
    """Let Redis come back with its data."""
    return _under_load(site, jobs, chance, ["redis"], lambda _: site.redis.restart(empty=False))


def postgres_restarted(site: Site, jobs: int, chance: random.Random) -> list[Load]:
    """Restart PostgreSQL, in order and as after a crash."""
    return _under_load(
        site, jobs, chance, ["postgres"], lambda _: site.database.restart(chance.choice(["fast", "immediate"]))
    )


def told_to_stop(site: Site, jobs: int, chance: random.Random) -> list[Load]:
    """Tell each process to stop, as a deployment does."""
    return _under_load(site, jobs, chance, sorted(ROLES), lambda name: site[name].terminate(), seconds=20)


def all_of_it(site: Site, jobs: int, chance: random.Random) -> list[Load]:
    """Let everything happen, in any order."""
    hands: dict[str, Callable[[], object]] = {f"kill {name}": site[name].kill for name in ROLES}
    hands |= {f"stop {name}": lambda name=name: site[name].terminate() for name in ROLES}
    hands |= {"empty redis": lambda: site.redis.restart(empty=True)}
    hands |= {"restart redis": lambda: site.redis.restart(empty=False)}
    if site.database.restartable:
        hands |= {mode: lambda mode=mode: site.database.restart(mode) for mode in ("fast", "immediate")}
    return _under_load(site, jobs, chance, sorted(hands), lambda name: hands[name](), seconds=20)


def clock_set(site: Site, jobs: int, chance: random.Random) -> list[Load]:
    """Set the clock of all processes forth and back, by an hour."""
    del chance
    for name in ROLES:
        site[name].kill()
    site.start(*ROLES, PROBE_CLOCK="yes")
    load = Load(site, jobs, seconds=8).start()
    for wrong in (3600, 0, -3600, 0):
        time.sleep(2)
        (site.folder / "clock").write_text(str(wrong), encoding="utf-8")
    load.finish(LOAD_SECONDS)
    return [load]


def _under_load(
    site: Site,
    jobs: int,
    chance: random.Random,
    victims: list[str],
    hit: Callable[[str], object] | None = None,
    seconds: float = 8,
) -> list[Load]:
    """Let two ask for jobs, and hit one victim after the other meanwhile."""
    loads = [Load(site, jobs // 2, seconds, part).start() for part in (0, 1)]
    _repeat(site, loads, chance, victims, hit or (lambda name: site[name].kill()))
    return loads


def _repeat(
    site: Site, loads: list[Load], chance: random.Random, victims: list[str], hit: Callable[[str], object]
) -> None:
    """Hit victims, each at least once, as long as there is load; what has ended is started again a moment later."""
    waiting, hits = list(victims), 0
    while waiting or (hits < HITS and any(load.running() for load in loads)):
        time.sleep(chance.uniform(0.3, 1.0))
        wait_until(lambda: _at_work(site), WORK_SECONDS)
        hit(waiting.pop(chance.randrange(len(waiting))) if waiting else chance.choice(victims))
        hits += 1
        time.sleep(chance.uniform(0, 0.5))
        if ended := [name for name in ROLES if site[name].ended()]:
            site.start(*ended)
    for load in loads:
        load.finish(LOAD_SECONDS)


def _at_work(site: Site) -> bool:
    return bool((site.observe("waiting") or {}).get("taken"))


PLAYS = (
    Play("api killed", api_killed, 0.12),
    Play("relay killed", relay_killed, 0.12),
    Play("worker killed", worker_killed, 0.12, on_sqlite=True, proof=begun_again),
    Play("redis emptied", redis_emptied, 0.12, proof=told("the destination has lost it")),
    Play("redis restarted", redis_restarted, 0.12),
    Play("postgres restarted", postgres_restarted, 0.12),
    Play("told to stop", told_to_stop, 0.1, proof=told("job given back")),
    Play("clock set", clock_set, 0.08),
    Play("all of it", all_of_it, 0.2, on_sqlite=True),
)
