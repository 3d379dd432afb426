"""Use the service at full load for a while, and see whether what it holds grows: `python -m tests.bench.soak`.

What leaks shows after many requests only, and only under load: a connection that is not closed, a thread for each
login, a list that nobody empties.
"""

import json
import statistics
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.bench.load import Load, send
from tests.bench.targets import Target, install, ours, workplace
from tests.matrix.processes import environment
from tests.matrix.service import database, stop, wait_until
from tests.rendering import snapshot

CONNECTIONS = {"get": 12, "list": 8, "create": 8, "login": 1}  # more than the pool has
ROUND_SECONDS = 30  # then they connect anew
WARM_UP = 1 / 5  # of the time: pools fill, caches too
IDLE_SECONDS = 5  # in which everything comes to its end after the load
# What is compared of the first third after the warm-up and of the last, and how many times as much it may be then. The hash
# of a password takes 64 MiB for a moment, so the memory is what is held between two; of the others a moment says nothing.
ALLOWED = {
    "memory": (min, 1.05),
    "files": (statistics.median, 1.1),
    "threads": (statistics.median, 1.25),  # those that have nothing to do end by themselves
    "connections": (statistics.median, 1.1),
}

# Tells the states of the connections that others have to the database, once for each line of its standard input.
WATCH = '''
import json, sys, psycopg
COUNT = """SELECT state, count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY state"""
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    for _ in sys.stdin:
        print(json.dumps(dict(connection.execute(COUNT).fetchall())), flush=True)
'''

States = Callable[[], dict[str, int]]

console = Console()


@dataclass(frozen=True)
class Sample:
    """What the service holds at a moment."""

    memory: float  # MB
    files: int  # with sockets
    threads: int
    connections: int  # to the database

    @classmethod
    def of(cls, target: Target, states: States) -> "Sample":
        """Look."""
        process = psutil.Process(target.service.process.pid)
        return cls(target.rss_mb(), process.num_fds(), process.num_threads(), sum(states().values()))


@dataclass(frozen=True)
class Course:
    """How much there was of something: in the first third after the warm-up, in the last one, and at most."""

    name: str
    first: float
    last: float
    most: float

    @classmethod
    def of(cls, name: str, samples: Sequence[Sample]) -> "Course":
        """Compare the thirds."""
        values = [getattr(sample, name) for sample in samples]
        warm = values[int(len(values) * WARM_UP) :]
        third, (what, _) = len(warm) // 3, ALLOWED[name]
        return cls(name, what(warm[:third]), what(warm[-third:]), max(values))

    @property
    def allowed(self) -> float:
        """How much it may be in the last third."""
        return self.first * ALLOWED[self.name][1]

    @property
    def grew(self) -> bool:
        """Whether it is more than that."""
        return self.last > self.allowed

    def row(self) -> tuple[str, ...]:
        """Return a line of the table."""
        return self.name, *(f"{value:.1f}" for value in (self.first, self.last, self.most, self.allowed))


@contextmanager
def watching(project: Path, url: str) -> Generator[States]:
    """Count the connections to a database by their state, whenever it is asked for."""
    command = [project / ".venv/bin/python", "-c", WATCH, url.replace("+psycopg", "")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment(), stdin=pipe, stdout=pipe, text=True) as process:
        asking, told = process.stdin, process.stdout
        assert asking
        assert told

        def states() -> dict[str, int]:
            print(file=asking, flush=True)
            return json.loads(told.readline())

        try:
            yield states
        finally:
            process.communicate()


def use(target: Target, name: str, ends: float) -> list[Load]:
    """Send one request over and over, in rounds."""
    rounds = []
    while (left := ends - time.monotonic()) > 0:
        seconds = min(ROUND_SECONDS, left)
        rounds.append(send(target.service.port, target.requests[name], CONNECTIONS[name], seconds))
    return rounds


def soak(target: Target, states: States, seconds: float) -> tuple[dict[str, list[Load]], list[Sample]]:
    """Send everything at once, and look now and then; return how it went, and what was seen."""
    samples, ends = [], time.monotonic() + seconds
    number = max(30, min(150, int(seconds / 5)))
    with ThreadPoolExecutor(len(CONNECTIONS)) as pool:
        users: dict[str, Future[list[Load]]] = {name: pool.submit(use, target, name, ends) for name in CONNECTIONS}
        for left in track(range(number, 0, -1), description="using it", console=console, transient=True):
            time.sleep(max(0.0, (ends - time.monotonic()) / (left + 1)))
            samples.append(Sample.of(target, states))
        return {name: user.result() for name, user in users.items()}, samples


def complaints(used: dict[str, list[Load]], courses: Sequence[Course], target: Target, states: States) -> list[str]:
    """Say what is not as it should be, after the load; the service has been stopped then."""
    failed = {name: sum(load.failures for load in loads) for name, loads in used.items()}
    found = [f"{count} answers to {name} failed" for name, count in failed.items() if count]
    found += [f"{course.name} grew" for course in courses if course.grew]
    if not wait_until(lambda: set(states()) <= {"idle"}, IDLE_SECONDS):
        found.append(f"connections are still busy: {states()}")
    try:
        stop(target.service)
    except AssertionError as error:
        found.append(str(error))
    return found


def main(
    minutes: Annotated[float, typer.Option(min=0.2, max=55, help="A token is good for an hour.")] = 10,
    judge: Annotated[bool, typer.Option(help="Whether nothing may grow; until pools are full takes minutes.")] = True,
) -> None:
    """Soak the service as it runs in production, and say whether anything it holds has grown."""
    with workplace() as folder:
        with console.status("rendering and installing"):
            project = install(snapshot(folder / "template"), folder / "ours", database="postgres")
        with database(project) as url, ours(project) as target, watching(project, url) as states:
            used, samples = soak(target, states, minutes * 60)
            courses = [Course.of(name, samples) for name in ALLOWED]
            found = complaints(used, courses if judge else [], target, states)
    _show(used, courses, minutes)
    for complaint in found:
        console.print(complaint, style="red")
    if found:
        raise typer.Exit(1)


def _show(used: dict[str, list[Load]], courses: Sequence[Course], minutes: float) -> None:
    """Print what was sent, and what was held."""
    sent = {name: sum(load.requests for load in loads) for name, loads in used.items()}
    console.print(f"{minutes:g} minutes: " + ", ".join(f"{count:,} x {name}" for name, count in sent.items()))
    table = Table("", "first third", "last third", "at most", "allowed")
    for course in courses:
        table.add_row(*course.row())
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
