"""What may happen to events between a commit and its effect elsewhere, with a real Kafka."""

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.crashes.events_site import CONSUMERS, RELAYS, EventSite
from tests.crashes.load import KEYS, Load
from tests.matrix.service import wait_until

EVENTS = 20_000  # in all, shared among the scenarios
DRAIN_SECONDS = 600  # a consumer that was killed is missed after 45 seconds
LOAD_SECONDS = 300
OUTAGE_SECONDS = 60
PROOF_SECONDS = 20  # so long a hit waits until there is something to be lost
POISONED = 3


class EventLoad(Load):
    """Somebody who lets the API publish events."""

    poison: frozenset[int] = frozenset()  # which of them, counted from 0, nobody can do

    def _order(self, number: int) -> dict[str, Any]:
        order = {"number": number, "key": f"{self._site.first + self._part} {number % KEYS}"}
        return order | ({"kind": "poison"} if number - self._first in self.poison else {})


@dataclass
class Scene:
    """What a scenario leaves: who asked for events, and what proves that it has come true."""

    loads: list[Load]
    proofs: dict[str, bool] = field(default_factory=dict)
    dead: int = 0


@dataclass(frozen=True)
class EventOutcome:
    """What became of the events of one scenario."""

    scenario: str
    events: int
    lost: int
    doubled: int
    out_of_order: int
    again: int  # how often Kafka has one that it had; the inbox is there for these
    drained: float
    seconds: float
    unproven: tuple[str, ...]

    @property
    def failure(self) -> str:
        """Say what is wrong; nothing if nothing is."""
        wrong = {"lost": self.lost, "doubled": self.doubled, "out of order": self.out_of_order}
        return ", ".join(
            [
                *(f"{number} {what}" for what, number in wrong.items() if number),
                *(f"not {each}" for each in self.unproven),
            ]
        )

    def cells(self) -> list[str]:
        """Return a row of the table."""
        numbers = (self.events, self.lost, self.doubled, self.out_of_order, self.again)
        return [self.scenario, *(f"{each:,}" for each in numbers), f"{self.drained:.0f}", f"{self.seconds:.0f}"]


EVENT_COLUMNS = ("scenario", "events", "lost", "doubled", "out of order", "sent again", "drained s", "took s")

Scenario = Callable[[EventSite, int, random.Random], Scene]


@dataclass(frozen=True)
class EventPlay:
    """A scenario that is played with its share of the events."""

    name: str
    run: Scenario
    share: float

    def __str__(self) -> str:
        return self.name


def play_events(chosen: EventPlay, site: EventSite, events: int, seed: int) -> EventOutcome:
    """Play a scenario with its share of the events.

    Raises:
        StepError: If a process does not do what it should, or not all is done in time.
    """
    began = site.begin()
    before = sum(site.kept())
    scene = chosen.run(site, round(events * chosen.share), random.Random(seed))  # noqa: S311 - not for secrets
    asked = time.monotonic()
    site.settle(DRAIN_SECONDS, scene.dead)
    done = time.monotonic()
    sent = sum(site.kept()) - before
    outcome = _judge(chosen.name, site, scene, sent, done - asked, done - began)
    if scene.dead:
        site.observe("", "DELETE")
    return outcome


def relay_killed(site: EventSite, events: int, chance: random.Random) -> Scene:
    """Kill one relay or the other while rows wait."""
    return _under_load(site, events, chance, RELAYS, lambda name: site[name].kill(), lambda: _rows(site) > 0)


def consumer_killed(site: EventSite, events: int, chance: random.Random) -> Scene:
    """Kill consumers while events wait for them."""
    return _under_load(
        site, events, chance, CONSUMERS, lambda name: site[name].kill(), lambda: site.count("behind") > 0
    )


def broker_killed(site: EventSite, events: int, chance: random.Random) -> Scene:
    """Kill Kafka, and start it again at once."""
    victims = ("kafka", "kafka")
    return _under_load(site, events, chance, victims, lambda _: site.kafka.outage(0), lambda: _rows(site) > 0)


def rebalanced(site: EventSite, events: int, chance: random.Random) -> Scene:
    """Let consumers leave and join."""
    scene = Scene(_loads(site, events, 16))
    for name in chance.sample(CONSUMERS, 2) * 2:
        time.sleep(1)
        site[name].terminate()
        time.sleep(1)
        site.start(name)
    for load in scene.loads:
        load.finish(LOAD_SECONDS)
    sizes = site.group_sizes()
    scene.proofs["one left, under load"] = 2 in sizes
    scene.proofs["one came, under load"] = 3 in sizes[1:]
    return scene


def outage(site: EventSite, events: int, chance: random.Random) -> Scene:
    """Let Kafka be away for a minute, while the API goes on."""
    del chance
    [load] = scene = _loads(site, events, OUTAGE_SECONDS, parts=1)
    time.sleep(1)
    answered = len(load.answered)
    site.kafka.outage(OUTAGE_SECONDS)
    load.finish(LOAD_SECONDS)
    told = any("outbox: not sent, waiting" in site[name].written() for name in RELAYS)
    return Scene(scene, {"told by a relay": told, "answered meanwhile": len(load.answered) - answered > events * 0.8})


def poisoned(site: EventSite, events: int, chance: random.Random) -> Scene:
    """Publish events that a consumer cannot do, among others of the same keys."""
    load = EventLoad(site, events, 3)
    load.poison = frozenset(chance.sample(range(events // 2), POISONED))
    load.start().finish(LOAD_SECONDS)
    return Scene([load], dead=POISONED)


def sent_twice(site: EventSite, events: int, chance: random.Random) -> Scene:
    """Send everything a second time."""
    del chance
    return _once_more(site, events, lambda since: site.post("again", {"positions": since}))


def out_of_order(site: EventSite, events: int, chance: random.Random) -> Scene:
    """Set the consumers back, and send everything a second time, backwards."""
    del chance

    def disorder(since: list[int]) -> None:
        for name in CONSUMERS:
            site[name].terminate()
        site.post("again", {"positions": since, "backwards": True})
        site.post("back", {"positions": since})
        site.start(*CONSUMERS)

    return _once_more(site, events, disorder, times=3)


def _once_more(site: EventSite, events: int, repeat: Callable[[list[int]], None], times: int = 2) -> Scene:
    since = site.kept()
    scene = Scene(_loads(site, events, 3))
    for load in scene.loads:
        load.finish(LOAD_SECONDS)
    site.settle(DRAIN_SECONDS)
    repeat(since)
    site.settle(DRAIN_SECONDS)
    published = sum(len(load.answered) for load in scene.loads)
    scene.proofs["all of it known by the inbox"] = _known(site) >= published * (times - 1)
    return scene


def _under_load(
    site: EventSite,
    events: int,
    chance: random.Random,
    victims: Iterable[str],
    hit: Callable[[str], None],
    is_time: Callable[[], bool],
) -> Scene:
    """Hit each victim while there is something to lose; what has ended is started again a moment later."""
    victims = list(victims)
    chance.shuffle(victims)
    scene = Scene(_loads(site, events, 4 * len(victims)))

    def at_work() -> bool:
        if not any(load.running() for load in scene.loads):  # on a machine that is busy with other things
            scene.loads.append(EventLoad(site, events // 10, PROOF_SECONDS / 2, len(scene.loads)).start())
        return is_time()

    for victim in victims:
        time.sleep(chance.uniform(0.5, 1.5))
        scene.proofs[f"at work when {victim} was killed"] = wait_until(at_work, PROOF_SECONDS)
        hit(victim)
        time.sleep(chance.uniform(0, 0.5))
        if ended := [name for name in site.roles if site[name].ended()]:
            site.start(*ended)
    for load in scene.loads:
        load.finish(LOAD_SECONDS)
    return scene


def _loads(site: EventSite, events: int, seconds: float, parts: int = 2) -> list[Load]:
    return [EventLoad(site, events // parts, seconds, part).start() for part in range(parts)]


def _rows(site: EventSite) -> int:
    return site.observe("outbox") or 0


def _known(site: EventSite) -> int:
    """Count what consumers were given, and had done before."""
    lines = (line for name in CONSUMERS for line in site[name].written().splitlines())
    return sum(int(line.partition('"known": ')[2].partition(",")[0]) for line in lines if '"known": ' in line)


def _judge(name: str, site: EventSite, scene: Scene, sent: int, drained: float, seconds: float) -> EventOutcome:
    """Compare what was published with what was done."""
    ledger = site.observe("ledger")
    asked = {number: key for number, _, key in ledger["asked"]}
    wanted = {number for number, kind, _ in ledger["asked"] if kind != "poison"}
    order = [number for number, _ in ledger["effects"]]
    done = Counter(order)
    answered = {number for load in scene.loads for number in load.answered}
    turns = defaultdict[str, list[int]](list)
    for number in order:
        turns[asked.get(number, "")].append(number)
    return EventOutcome(
        name,
        events=len(asked),
        lost=len((wanted - done.keys()) | (answered - asked.keys())),
        doubled=sum(times - 1 for times in done.values()) + len(done.keys() - wanted),
        out_of_order=sum(later < earlier for each in turns.values() for earlier, later in pairwise(each)),
        again=sent - len(asked),
        drained=drained,
        seconds=seconds,
        unproven=tuple(what for what, proven in scene.proofs.items() if not proven),
    )


EVENT_PLAYS = (
    EventPlay("relay killed", relay_killed, 0.15),
    EventPlay("consumer killed", consumer_killed, 0.15),
    EventPlay("broker killed", broker_killed, 0.15),
    EventPlay("rebalanced", rebalanced, 0.15),
    EventPlay("broker away for a minute", outage, 0.15),
    EventPlay("poisoned", poisoned, 0.05),
    EventPlay("sent twice", sent_twice, 0.1),
    EventPlay("out of order", out_of_order, 0.1),
)
