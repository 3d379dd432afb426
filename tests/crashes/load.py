"""Jobs under load, and what became of them."""

import http.client
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count, pairwise
from threading import Event, Thread
from typing import Any

from tests.crashes.site import Processes
from tests.matrix.service import ask

BATCH = 20
KEYS = 20  # of each who asks
# Of ten jobs six are alone, three have to follow each other, one leaves the database.
KINDS = ["note"] * 6 + ["note_in_turn"] * 3 + ["note_outside"]
PART = 1_000_000  # so many numbers each who asks has for its jobs
# How long a job takes, as a multiple of the time between two of them: of few jobs or many, a hit meets some at work.
PAUSES = (0, 1.5, 8, 24)
LONGEST_PAUSE = 1.5  # seconds, half of what the probe's tasks may take


class Load:
    """Somebody who asks the API for jobs, a batch at a time, whether it is there or not.

    Who does not get an answer goes on with the next batch: that one may have been taken, or not.
    """

    def __init__(self, site: Processes, jobs: int, seconds: float = 0, part: int = 0) -> None:
        """Prepare to ask for at least so many jobs, over so many seconds; parts of a scene do not share their keys."""
        self._site, self._jobs, self._seconds = site, jobs, seconds
        self._between = seconds / jobs
        self._part, self._first = part, site.first + PART * (part + 1)
        self._numbers = count(self._first)
        self._enough = Event()
        self.answered: list[int] = []
        self._thread = Thread(target=self._run, daemon=True)

    def start(self) -> "Load":
        """Begin."""
        self._thread.start()
        return self

    def running(self) -> bool:
        """Tell whether it still asks."""
        return self._thread.is_alive()

    def finish(self, seconds: float) -> None:
        """Wait until it has asked for as many as it should.

        Raises:
            StepError: If that takes too long.
        """
        self._thread.join(seconds)
        self._enough.set()
        if self._thread.is_alive():
            raise self._site.error(
                f"only {len(self.answered)} of {self._jobs} jobs were taken in {seconds:.0f} seconds"
            )

    def _run(self) -> None:
        began = time.monotonic()
        while len(self.answered) < self._jobs and not self._enough.is_set():
            orders = [self._order(next(self._numbers)) for _ in range(BATCH)]
            if self.ask(orders):
                self.answered += [order["number"] for order in orders]
            else:
                time.sleep(0.2)
            due = began + self._seconds * len(self.answered) / self._jobs
            time.sleep(max(0.0, due - time.monotonic()))

    def _order(self, number: int) -> dict[str, Any]:
        kind = KINDS[number % len(KINDS)]
        pause = (
            min(PAUSES[number // len(KINDS) % len(PAUSES)] * self._between, LONGEST_PAUSE) * self._site.database.pace
        )
        if kind == "note_in_turn":
            return {
                "kind": kind,
                "number": number,
                "key": f"{self._site.first + self._part} {number % KEYS}",
                "pause": min(pause, 0.005),
            }
        return {"kind": kind, "number": number, "pause": pause}

    def ask(self, orders: list[dict[str, Any]]) -> bool:
        """Ask for some jobs, and tell whether they were taken."""
        connection = http.client.HTTPConnection("127.0.0.1", self._site["api"].port, timeout=30)
        try:
            return ask(connection, "POST", "/probe", orders).status == 201
        except (OSError, http.client.HTTPException):
            return False


@dataclass(frozen=True)
class Outcome:
    """What became of the jobs of one scenario."""

    scenario: str
    jobs: int
    lost: int
    doubled: int
    out_of_order: int
    repeated: int  # done again outside of the database, which is allowed
    again: list[float] = field(default_factory=list)  # seconds until a job of a dead worker was begun anew
    drained: float = 0  # seconds from the last job that was asked for until all were done
    seconds: float = 0
    unproven: str = ""  # what should have happened, and has not

    @property
    def failure(self) -> str:
        """Say what is wrong; nothing if nothing is."""
        wrong = {"lost": self.lost, "doubled": self.doubled, "out of order": self.out_of_order}
        return ", ".join(
            [*(f"{number} {what}" for what, number in wrong.items() if number), *filter(None, [self.unproven])]
        )

    def cells(self) -> list[str]:
        """Return a row of the table."""
        numbers = (self.jobs, self.lost, self.doubled, self.out_of_order, self.repeated, len(self.again))
        spread = (min(self.again), statistics.median(self.again), max(self.again)) if self.again else ()
        return [
            self.scenario,
            *(f"{number:,}" for number in numbers),
            " / ".join(f"{seconds:.1f}" for seconds in spread),
            f"{self.drained:.0f}",
            f"{self.seconds:.0f}",
        ]


COLUMNS = (
    "scenario",
    "jobs",
    "lost",
    "doubled",
    "out of order",
    "repeated outside",
    "again",
    "after s",
    "drained s",
    "took s",
)


def judge(scenario: str, site: Processes, answered: Iterable[int]) -> Outcome:
    """Compare what was asked for with what was done."""
    ledger = site.observe("ledger")
    asked = {number: (kind, key) for number, kind, key in ledger["asked"] if kind.startswith("note")}
    others = {number for number, _, _ in ledger["asked"]} - asked.keys()
    order = [number for [number] in ledger["effects"] if number not in others]
    inside, outside = Counter(order), Counter(number for number, _, _ in site.lines("outside"))
    missing = {
        number for number, (kind, _) in asked.items() if not (outside if kind == "note_outside" else inside)[number]
    }
    return Outcome(
        scenario,
        jobs=len(asked),
        lost=len(missing | (set(answered) - asked.keys())),
        doubled=sum(times - 1 for times in inside.values()) + len(inside.keys() - asked.keys()),
        out_of_order=_out_of_order(asked, order),
        repeated=sum(times - 1 for times in outside.values()),
        again=_begun_again(site),
    )


def _out_of_order(asked: dict[int, tuple[str, str | None]], order: list[int]) -> int:
    turns = defaultdict[str, list[int]](list)
    for number in order:
        _, key = asked.get(number, ("", None))
        if key:
            turns[key].append(number)
    return sum(later < earlier for numbers in turns.values() for earlier, later in pairwise(numbers))


def _begun_again(site: Processes) -> list[float]:
    """Measure from the death of a worker to the moment at which another begins with the same job."""
    killed = site.killed()
    starts = defaultdict[int, list[tuple[float, int]]](list)
    for number, pid, moment in site.lines("started"):
        starts[number].append((moment, pid))
    return [
        moment - killed[pid]
        for times in starts.values()
        for (_, pid), (moment, _) in pairwise(sorted(times))
        if pid in killed and moment > killed[pid]
    ]
