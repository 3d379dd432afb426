"""Run the service at full load, and check whether its resources grow: `python -m tests.bench.soak`.

Leaks only show after many requests under load: a connection that is not closed, a thread for each sign-in, a list that is
never cleared.
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
from tests.bench.targets import Target, install, project_target, temporary_folder
from tests.matrix.processes import environment
from tests.matrix.service import database, stop, wait_until
from tests.rendering import snapshot

CONNECTIONS = {"get": 12, "list": 8, "create": 8, "login": 1}  # more than the pool has
ROUND_SECONDS = 30  # then the clients reconnect
WARM_UP = 1 / 5  # of the time, until pools and caches are full
IDLE_SECONDS = 5  # until all connections must be idle after the load
# The statistic that is compared between the first third after the warm-up and the last third, and the allowed factor. Hashing
# a password needs 64 MiB for a short time, so memory is compared by its minimum; the others vary, so by their median.
ALLOWED = {
    "memory": (min, 1.05),
    "files": (statistics.median, 1.1),
    "threads": (statistics.median, 1.25),  # idle threads end
    "connections": (statistics.median, 1.1),
}

# Prints the states of all other database connections for each line of standard input.
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
    """The resources of the service at one time."""

    memory: float  # MB
    files: int  # including sockets
    threads: int
    connections: int  # to the database

    @classmethod
    def of(cls, target: Target, states: States) -> "Sample":
        """Take a sample."""
        process = psutil.Process(target.service.process.pid)
        return cls(target.rss_mb(), process.num_fds(), process.num_threads(), sum(states().values()))


@dataclass(frozen=True)
class Growth:
    """The change of a resource: in the first third after the warm-up, in the last third, and the maximum."""

    name: str
    first: float
    last: float
    maximum: float

    @classmethod
    def of(cls, name: str, samples: Sequence[Sample]) -> "Growth":
        """Compare the first and the last third of samples."""
        values = [getattr(sample, name) for sample in samples]
        warm = values[int(len(values) * WARM_UP) :]
        third, (statistic, _) = len(warm) // 3, ALLOWED[name]
        return cls(name, statistic(warm[:third]), statistic(warm[-third:]), max(values))

    @property
    def allowed(self) -> float:
        """The allowed value in the last third."""
        return self.first * ALLOWED[self.name][1]

    @property
    def grew(self) -> bool:
        """Whether the last third exceeds the allowed value."""
        return self.last > self.allowed

    def row(self) -> tuple[str, ...]:
        """Return the row of the table."""
        return self.name, *(f"{value:.1f}" for value in (self.first, self.last, self.maximum, self.allowed))


@contextmanager
def connection_states(project: Path, url: str) -> Generator[States]:
    """Yield a function that counts the connections to a database by their state."""
    command = [project / ".venv/bin/python", "-c", WATCH, url.replace("+psycopg", "")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment(), stdin=pipe, stdout=pipe, text=True) as process:
        commands, replies = process.stdin, process.stdout
        assert commands
        assert replies

        def states() -> dict[str, int]:
            print(file=commands, flush=True)
            return json.loads(replies.readline())

        try:
            yield states
        finally:
            process.communicate()


def send_rounds(target: Target, name: str, ends: float) -> list[Load]:
    """Send one request repeatedly, in rounds."""
    rounds = []
    while (left := ends - time.monotonic()) > 0:
        seconds = min(ROUND_SECONDS, left)
        rounds.append(send(target.service.port, target.requests[name], CONNECTIONS[name], seconds))
    return rounds


def soak(target: Target, states: States, seconds: float) -> tuple[dict[str, list[Load]], list[Sample]]:
    """Send all requests concurrently, and take samples; return the results and the samples."""
    samples, ends = [], time.monotonic() + seconds
    number = max(30, min(150, int(seconds / 5)))
    with ThreadPoolExecutor(len(CONNECTIONS)) as pool:
        futures: dict[str, Future[list[Load]]] = {
            name: pool.submit(send_rounds, target, name, ends) for name in CONNECTIONS
        }
        for left in track(range(number, 0, -1), description="sending requests", console=console, transient=True):
            time.sleep(max(0.0, (ends - time.monotonic()) / (left + 1)))
            samples.append(Sample.of(target, states))
        return {name: future.result() for name, future in futures.items()}, samples


def find_problems(
    loads_by_request: dict[str, list[Load]], growths: Sequence[Growth], target: Target, states: States
) -> list[str]:
    """Stop the service after the load, and return the problems."""
    failed = {name: sum(load.failures for load in loads) for name, loads in loads_by_request.items()}
    problems = [f"{count} responses to {name} failed" for name, count in failed.items() if count]
    problems += [f"{growth.name} grew" for growth in growths if growth.grew]
    if not wait_until(lambda: set(states()) <= {"idle"}, IDLE_SECONDS):
        problems.append(f"connections are still busy: {states()}")
    try:
        stop(target.service)
    except AssertionError as error:
        problems.append(str(error))
    return problems


def main(
    minutes: Annotated[
        float, typer.Option(min=0.2, max=55, help="Less than an hour, because access tokens expire.")
    ] = 10,
    judge: Annotated[
        bool, typer.Option(help="Fail if a resource grows; needs several minutes, until pools are full.")
    ] = True,
) -> None:
    """Run the service as in production under load, and report whether its resources grow."""
    with temporary_folder() as folder:
        with console.status("rendering and installing"):
            project = install(snapshot(folder / "template"), folder / "ours", database="postgres")
        with database(project) as url, project_target(project) as target, connection_states(project, url) as states:
            loads_by_request, samples = soak(target, states, minutes * 60)
            growths = [Growth.of(name, samples) for name in ALLOWED]
            problems = find_problems(loads_by_request, growths if judge else [], target, states)
    _show(loads_by_request, growths, minutes)
    for problem in problems:
        console.print(problem, style="red")
    if problems:
        raise typer.Exit(1)


def _show(loads_by_request: dict[str, list[Load]], growths: Sequence[Growth], minutes: float) -> None:
    """Print the number of requests, and the table of resources."""
    sent = {name: sum(load.requests for load in loads) for name, loads in loads_by_request.items()}
    console.print(f"{minutes:g} minutes: " + ", ".join(f"{count:,} x {name}" for name, count in sent.items()))
    table = Table("", "first third", "last third", "maximum", "allowed")
    for growth in growths:
        table.add_row(*growth.row())
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
