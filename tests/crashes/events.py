"""Scenarios for events: faults between a commit and the effect in a consumer, with a real Kafka."""

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.crashes.events_deployment import CONSUMERS, RELAYS, EventDeployment
from tests.crashes.load import KEYS, Load
from tests.crashes.scenarios import ATTEMPTS
from tests.matrix.service import wait_until

EVENTS = 20_000  # in total, divided among the scenarios
DRAIN_SECONDS = 600  # Kafka notices a killed consumer after 10 seconds
LOAD_SECONDS = 300
OUTAGE_SECONDS = 60
PENDING_SECONDS = 20  # time limit for waiting until a fault can lose something
POISONED = 3  # events


class EventLoad(Load):
    """A client that makes the API publish events."""

    poison_indexes: frozenset[int] = frozenset()  # counted from 0: events that no consumer can process

    def _request(self, number: int) -> dict[str, Any]:
        request = {"number": number, "key": f"{self._deployment.first_number + self._part} {number % KEYS}"}
        return request | ({"kind": "poison"} if number - self._first_number in self.poison_indexes else {})


@dataclass
class ScenarioRun:
    """The loads of a scenario, and the conditions under which its result is meaningful."""

    loads: list[Load]
    conditions: dict[str, bool] = field(default_factory=dict)
    dead: int = 0


@dataclass(frozen=True)
class EventOutcome:
    """The result of one scenario."""

    scenario: str
    events: int
    lost: int
    duplicated: int
    out_of_order: int
    resent: int  # messages that Kafka received more than once; consumers must ignore the duplicates
    drained: float
    seconds: float
    unmet: tuple[str, ...]

    @property
    def failure(self) -> str:
        """A description of what is wrong, empty if nothing is."""
        problems = {"lost": self.lost, "duplicated": self.duplicated, "out of order": self.out_of_order}
        return ", ".join(
            [
                *(f"{number} {what}" for what, number in problems.items() if number),
                *(f"not {each}" for each in self.unmet),
            ]
        )

    def cells(self) -> list[str]:
        """Return the row of the table."""
        numbers = (self.events, self.lost, self.duplicated, self.out_of_order, self.resent)
        return [self.scenario, *(f"{each:,}" for each in numbers), f"{self.drained:.0f}", f"{self.seconds:.0f}"]


EVENT_COLUMNS = ("scenario", "events", "lost", "duplicated", "out of order", "resent", "drained s", "took s")

Action = Callable[[EventDeployment, int, random.Random], ScenarioRun]


@dataclass(frozen=True)
class EventScenario:
    """A scenario with its share of the events."""

    name: str
    run: Action
    share: float

    def __str__(self) -> str:
        return self.name


def run_event_scenario(chosen: EventScenario, deployment: EventDeployment, events: int, seed: int) -> EventOutcome:
    """Run a scenario with its share of the events; repeat it if only its conditions were not met.

    Raises:
        StepError: If a process misbehaves, or events are not processed in time.
    """
    for attempt in range(ATTEMPTS):
        outcome = _run_once(chosen, deployment, events, seed + attempt)
        if not outcome.unmet or outcome.lost or outcome.duplicated or outcome.out_of_order:
            break
    return outcome


def _run_once(chosen: EventScenario, deployment: EventDeployment, events: int, seed: int) -> EventOutcome:
    started = deployment.begin_scenario()
    before = sum(deployment.partition_ends())
    run = chosen.run(deployment, round(events * chosen.share), random.Random(seed))  # noqa: S311 - not for secrets
    requested = time.monotonic()
    deployment.wait_until_idle(DRAIN_SECONDS, run.dead)
    done = time.monotonic()
    sent = sum(deployment.partition_ends()) - before
    outcome = _evaluate(chosen.name, deployment, run, sent, done - requested, done - started)
    if run.dead:
        deployment.observe("", "DELETE")
    return outcome


def relay_killed(deployment: EventDeployment, events: int, rng: random.Random) -> ScenarioRun:
    """Kill relays while the outbox has pending rows."""
    return _under_load(
        deployment, events, rng, RELAYS, lambda name: deployment[name].kill(), lambda: _rows(deployment) > 0
    )


def consumer_killed(deployment: EventDeployment, events: int, rng: random.Random) -> ScenarioRun:
    """Kill consumers while they have a lag."""
    return _under_load(
        deployment, events, rng, CONSUMERS, lambda name: deployment[name].kill(), lambda: deployment.count("lag") > 0
    )


def broker_killed(deployment: EventDeployment, events: int, rng: random.Random) -> ScenarioRun:
    """Kill Kafka, and restart it immediately."""
    targets = ("kafka", "kafka")
    return _under_load(
        deployment, events, rng, targets, lambda _: deployment.kafka.outage(0), lambda: _rows(deployment) > 0
    )


def rebalanced(deployment: EventDeployment, events: int, rng: random.Random) -> ScenarioRun:
    """Stop and start consumers, so that their group rebalances."""
    run = ScenarioRun(_loads(deployment, events, 16))

    def group_has(members: int) -> bool:
        _keep_loaded(run, deployment, events)
        return deployment.group_sizes()[-1:] == [members]

    for name in rng.sample(CONSUMERS, 2) * 2:
        deployment[name].terminate()
        run.conditions[f"{name} left under load"] = wait_until(lambda: group_has(2), LOAD_SECONDS)
        deployment.start(name)
        run.conditions[f"{name} joined under load"] = wait_until(lambda: group_has(3), LOAD_SECONDS)
    for load in run.loads:
        load.finish(LOAD_SECONDS)
    return run


def outage(deployment: EventDeployment, events: int, rng: random.Random) -> ScenarioRun:
    """Stop Kafka for a minute while the API continues."""
    del rng
    [load] = loads = _loads(deployment, events, OUTAGE_SECONDS, parts=1)
    time.sleep(1)
    before = len(load.accepted)
    deployment.kafka.outage(OUTAGE_SECONDS)
    load.finish(LOAD_SECONDS)
    logged = any("outbox: sending failed, retrying" in deployment[name].log_output() for name in RELAYS)
    accepted = len(load.accepted) - before
    return ScenarioRun(loads, {"logged by a relay": logged, "accepted during the outage": accepted > events * 0.8})


def poisoned(deployment: EventDeployment, events: int, rng: random.Random) -> ScenarioRun:
    """Publish events that no consumer can process, among others with the same keys."""
    load = EventLoad(deployment, events, 3)
    load.poison_indexes = frozenset(rng.sample(range(events // 2), POISONED))
    load.start().finish(LOAD_SECONDS)
    return ScenarioRun([load], dead=POISONED)


def resent(deployment: EventDeployment, events: int, rng: random.Random) -> ScenarioRun:
    """Send all messages a second time."""
    del rng
    return _replayed(deployment, events, lambda since: deployment.post("resend", {"positions": since}))


def out_of_order(deployment: EventDeployment, events: int, rng: random.Random) -> ScenarioRun:
    """Reset the consumer offsets, and send all messages a second time in reverse order."""
    del rng

    def reorder(since: list[int]) -> None:
        for name in CONSUMERS:
            deployment[name].terminate()
        deployment.post("resend", {"positions": since, "reverse": True})
        deployment.post("rewind", {"positions": since})
        deployment.start(*CONSUMERS)

    return _replayed(deployment, events, reorder, times=3)


def _replayed(
    deployment: EventDeployment, events: int, repeat: Callable[[list[int]], None], times: int = 2
) -> ScenarioRun:
    since = deployment.partition_ends()
    run = ScenarioRun(_loads(deployment, events, 3))
    for load in run.loads:
        load.finish(LOAD_SECONDS)
    deployment.wait_until_idle(DRAIN_SECONDS)
    repeat(since)
    deployment.wait_until_idle(DRAIN_SECONDS)
    published = sum(len(load.accepted) for load in run.loads)
    run.conditions["all duplicates recognized by the inbox"] = _ignored_duplicates(deployment) >= published * (
        times - 1
    )
    return run


def _under_load(
    deployment: EventDeployment,
    events: int,
    rng: random.Random,
    targets: Iterable[str],
    inject: Callable[[str], None],
    is_pending: Callable[[], bool],
) -> ScenarioRun:
    """Inject the fault into each target while there is work to lose; restart ended processes shortly after."""
    targets = list(targets)
    rng.shuffle(targets)
    run = ScenarioRun(_loads(deployment, events, 4 * len(targets)))

    def has_work() -> bool:
        _keep_loaded(run, deployment, events)
        return is_pending()

    for target in targets:
        time.sleep(rng.uniform(0.5, 1.5))
        run.conditions[f"work pending when {target} was killed"] = wait_until(has_work, PENDING_SECONDS)
        inject(target)
        time.sleep(rng.uniform(0, 0.5))
        if ended := [name for name in deployment.roles if deployment[name].ended()]:
            deployment.start(*ended)
    for load in run.loads:
        load.finish(LOAD_SECONDS)
    return run


def _keep_loaded(run: ScenarioRun, deployment: EventDeployment, events: int) -> None:
    """Add a load when the others have finished, as happens on a busy machine."""
    if not any(load.running() for load in run.loads):
        run.loads.append(EventLoad(deployment, events // 10, PENDING_SECONDS / 2, len(run.loads)).start())


def _loads(deployment: EventDeployment, events: int, seconds: float, parts: int = 2) -> list[Load]:
    return [EventLoad(deployment, events // parts, seconds, part).start() for part in range(parts)]


def _rows(deployment: EventDeployment) -> int:
    return deployment.observe("outbox") or 0


def _ignored_duplicates(deployment: EventDeployment) -> int:
    """Return how many duplicates the consumers have ignored."""
    lines = (line for name in CONSUMERS for line in deployment[name].log_output().splitlines())
    return sum(int(line.partition('"duplicates": ')[2].partition(",")[0]) for line in lines if '"duplicates": ' in line)


def _evaluate(
    name: str, deployment: EventDeployment, run: ScenarioRun, sent: int, drained: float, seconds: float
) -> EventOutcome:
    """Compare the published events with their effects."""
    ledger = deployment.observe("ledger")
    requested = {number: key for number, _, key in ledger["requested"]}
    wanted = {number for number, kind, _ in ledger["requested"] if kind != "poison"}
    processed = [number for number, _ in ledger["effects"]]
    done = Counter(processed)
    accepted = {number for load in run.loads for number in load.accepted}
    by_key = defaultdict[str, list[int]](list)
    for number in processed:
        by_key[requested.get(number, "")].append(number)
    return EventOutcome(
        name,
        events=len(requested),
        lost=len((wanted - done.keys()) | (accepted - requested.keys())),
        duplicated=sum(times - 1 for times in done.values()) + len(done.keys() - wanted),
        out_of_order=sum(later < earlier for each in by_key.values() for earlier, later in pairwise(each)),
        resent=sent - len(requested),
        drained=drained,
        seconds=seconds,
        unmet=tuple(what for what, met in run.conditions.items() if not met),
    )


EVENT_SCENARIOS = (
    EventScenario("relay killed", relay_killed, 0.15),
    EventScenario("consumer killed", consumer_killed, 0.15),
    EventScenario("broker killed", broker_killed, 0.15),
    EventScenario("rebalanced", rebalanced, 0.15),
    EventScenario("broker unavailable for a minute", outage, 0.15),
    EventScenario("poisoned", poisoned, 0.05),
    EventScenario("resent", resent, 0.1),
    EventScenario("out of order", out_of_order, 0.1),
)
