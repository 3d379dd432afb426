"""Requests that enqueue jobs, and the evaluation of a scenario."""

import http.client
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count, pairwise
from threading import Event, Thread
from typing import Any

from tests.crashes.deployment import Deployment
from tests.matrix.service import ask

BATCH = 20
KEYS = 20  # per load
# Of ten jobs, six are independent, three must run in order, and one has an effect outside the database.
KINDS = ["record"] * 6 + ["record_in_order"] * 3 + ["record_outside"]
NUMBERS_PER_LOAD = 1_000_000  # numbers reserved for the jobs of one load
# Duration of a job, as a multiple of the interval between two jobs, so that a fault interrupts jobs at any rate.
PAUSES = (0, 1.5, 8, 24)
LONGEST_PAUSE = 1.5  # seconds, half the time limit of the probe's tasks


class Load:
    """A client that submits jobs to the API in batches, even while the API is unavailable.

    After a failed request, it continues with the next batch: the API may have accepted the failed batch or not.
    """

    def __init__(self, deployment: Deployment, jobs: int, seconds: float = 0, part: int = 0) -> None:
        """Prepare a load; loads with different parts do not share keys.

        Args:
            deployment: The deployment whose API is used.
            jobs: The least number of jobs to submit.
            seconds: The time over which they are spread.
            part: The number of the load in its scenario.
        """
        self._deployment, self._jobs, self._seconds = deployment, jobs, seconds
        self._between = seconds / jobs
        self._part, self._first_number = part, deployment.first_number + NUMBERS_PER_LOAD * (part + 1)
        self._numbers = count(self._first_number)
        self._stop = Event()
        self.accepted: list[int] = []
        self._thread = Thread(target=self._run, daemon=True)

    def start(self) -> "Load":
        """Start submitting jobs, in a thread."""
        self._thread.start()
        return self

    def running(self) -> bool:
        return self._thread.is_alive()

    def finish(self, seconds: float) -> None:
        """Wait until all jobs were accepted.

        Raises:
            StepError: If that takes too long.
        """
        self._thread.join(seconds)
        self._stop.set()
        if self._thread.is_alive():
            raise self._deployment.error(
                f"only {len(self.accepted)} of {self._jobs} jobs were accepted in {seconds:.0f} seconds"
            )

    def _run(self) -> None:
        started = time.monotonic()
        while len(self.accepted) < self._jobs and not self._stop.is_set():
            requests = [self._request(next(self._numbers)) for _ in range(BATCH)]
            if self.submit(requests):
                self.accepted += [request["number"] for request in requests]
            else:
                time.sleep(0.2)
            due = started + self._seconds * len(self.accepted) / self._jobs
            time.sleep(max(0.0, due - time.monotonic()))

    def _request(self, number: int) -> dict[str, Any]:
        kind = KINDS[number % len(KINDS)]
        pause = (
            min(PAUSES[number // len(KINDS) % len(PAUSES)] * self._between, LONGEST_PAUSE)
            * self._deployment.database.pace
        )
        if kind == "record_in_order":
            return {
                "kind": kind,
                "number": number,
                "key": f"{self._deployment.first_number + self._part} {number % KEYS}",
                "pause": min(pause, 0.005),
            }
        return {"kind": kind, "number": number, "pause": pause}

    def submit(self, requests: list[dict[str, Any]]) -> bool:
        """Submit jobs, and return whether the API confirmed them."""
        connection = http.client.HTTPConnection("127.0.0.1", self._deployment["api"].port, timeout=30)
        try:
            return ask(connection, "POST", "/probe", requests).status == 201
        except (OSError, http.client.HTTPException):
            return False


@dataclass(frozen=True)
class Outcome:
    """The result of one scenario."""

    scenario: str
    jobs: int
    lost: int
    duplicated: int
    out_of_order: int
    repeated: int  # repeated effects outside the database, which are allowed
    # Seconds until another worker started a job of a killed one.
    retry_delays: list[float] = field(default_factory=list)
    drained: float = 0  # seconds from the last accepted job until all were processed
    seconds: float = 0
    unmet: str = ""  # the condition that was not met

    @property
    def failure(self) -> str:
        """A description of what is wrong, empty if nothing is."""
        problems = {"lost": self.lost, "duplicated": self.duplicated, "out of order": self.out_of_order}
        return ", ".join(
            [*(f"{number} {what}" for what, number in problems.items() if number), *filter(None, [self.unmet])]
        )

    def cells(self) -> list[str]:
        """Return the row of the table."""
        numbers = (self.jobs, self.lost, self.duplicated, self.out_of_order, self.repeated, len(self.retry_delays))
        spread = (
            (min(self.retry_delays), statistics.median(self.retry_delays), max(self.retry_delays))
            if self.retry_delays
            else ()
        )
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
    "duplicated",
    "out of order",
    "repeated outside",
    "retried",
    "after s",
    "drained s",
    "took s",
)


def evaluate(scenario: str, deployment: Deployment, accepted: Iterable[int]) -> Outcome:
    """Compare the submitted jobs with their effects."""
    ledger = deployment.observe("ledger")
    requested = {number: (kind, key) for number, kind, key in ledger["requested"] if kind.startswith("record")}
    other_jobs = {number for number, _, _ in ledger["requested"]} - requested.keys()
    processed = [number for [number] in ledger["effects"] if number not in other_jobs]
    inside, outside = Counter(processed), Counter(number for number, _, _ in deployment.trace("outside"))
    missing = {
        number
        for number, (kind, _) in requested.items()
        if not (outside if kind == "record_outside" else inside)[number]
    }
    return Outcome(
        scenario,
        jobs=len(requested),
        lost=len(missing | (set(accepted) - requested.keys())),
        duplicated=sum(times - 1 for times in inside.values()) + len(inside.keys() - requested.keys()),
        out_of_order=_out_of_order(requested, processed),
        repeated=sum(times - 1 for times in outside.values()),
        retry_delays=_retry_delays(deployment),
    )


def _out_of_order(requested: dict[int, tuple[str, str | None]], processed: list[int]) -> int:
    by_key = defaultdict[str, list[int]](list)
    for number in processed:
        _, key = requested.get(number, ("", None))
        if key:
            by_key[key].append(number)
    return sum(later < earlier for numbers in by_key.values() for earlier, later in pairwise(numbers))


def _retry_delays(deployment: Deployment) -> list[float]:
    """Return the seconds between the end of a worker and the start of the same job in another one."""
    stopped_at = deployment.stopped_at()
    starts = defaultdict[int, list[tuple[float, int]]](list)
    for number, pid, timestamp in deployment.trace("started"):
        starts[number].append((timestamp, pid))
    return [
        timestamp - stopped_at[pid]
        for times in starts.values()
        for (_, pid), (timestamp, _) in pairwise(sorted(times))
        if pid in stopped_at and timestamp > stopped_at[pid]
    ]
