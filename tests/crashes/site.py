"""A service with all its processes, any of which can be killed: the API, relays and workers, a database and a Redis."""

import http.client
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from tests.crashes.project import SETTINGS, call
from tests.crashes.servers import Database, Postgres, Redis, Sqlite, redis_binary
from tests.matrix.processes import StepError, environment
from tests.matrix.service import GRACE_SECONDS, START_SECONDS, Service, ask, free_port, kill, wait_until

MARGIN_SECONDS = 10  # for leaving, on a machine that is busy
LOG_LINES = 12
NOTHING = {"waiting": 0, "sent": 0, "taken": 0, "dead": 0}
SCENE = 10_000_000  # so many numbers each scene has for its jobs

# `observer` is an API that nobody kills: the test asks it what is there.
COMMANDS = {"observer": "serve", "api": "serve", "relay": "relay", "worker": "worker", "consumer": "consumer"}
ROLES = {"api": "api", "relay-1": "relay", "relay-2": "relay", "worker-1": "worker", "worker-2": "worker"}


class Member:
    """One process of the service. It may be started again, on the same port and into the same log."""

    def __init__(self, name: str, project: Path, folder: Path, settings: Mapping[str, str]) -> None:
        self.name, self.port, self.log = name, free_port(), folder / f"{name}.log"
        self._project, self._settings = project, settings
        self._told = 0  # so much of its log is about earlier scenes
        self.killed: dict[int, float] = {}  # when each of its processes was killed or told to stop
        self.process: subprocess.Popen[str] | None = None

    def start(self, **settings: str) -> None:
        """Start it, unless it runs; `wait` waits until it is ready."""
        if self.running():
            return
        command = COMMANDS[self.name.partition("-")[0]]
        with self.log.open("a", encoding="utf-8") as output:
            self.process = subprocess.Popen(
                [self._project / ".venv/bin/app", command, "--port", str(self.port)],
                cwd=self._project,
                env=environment(**self._settings, **settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def running(self) -> bool:
        """Tell whether it runs."""
        return self.process is not None and self.process.poll() is None

    def ended(self) -> bool:
        """Tell whether it ran, and does not any more."""
        return self.process is not None and self.process.poll() is not None

    def wait(self) -> None:
        """Wait until it is ready."""
        assert self.process
        service = Service(self.process, self.port, self.log)
        if not wait_until(lambda: not self.running() or service.status("/health/ready") == 200, START_SECONDS):
            raise StepError(f"{self.name} is not ready after {START_SECONDS} seconds\n{self.tail()}")
        if not self.running():
            raise StepError(f"{self.name} ended instead of starting\n{self.tail()}")

    def kill(self) -> None:
        """Kill it, as a machine that loses its power does."""
        if self.process:
            self.killed[self.process.pid] = time.time()
            kill(self.process)

    def terminate(self) -> float:
        """Tell it to stop, expect a clean end in time, and return how long it took.

        Raises:
            StepError: If it is late, or its exit code is not 0.
        """
        self.wait()  # before that, nobody listens to signals
        assert self.process
        began = self.killed[self.process.pid] = time.time()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=GRACE_SECONDS + MARGIN_SECONDS)
        except subprocess.TimeoutExpired:
            raise StepError(f"{self.name} still runs long after SIGTERM\n{self.tail()}") from None
        if code != 0:
            raise StepError(f"{self.name} ended with {code} after SIGTERM\n{self.tail()}")
        return time.time() - began

    def begin(self) -> None:
        """Begin a new scene: what was written so far is no part of it."""
        self._told = self.log.stat().st_size if self.log.exists() else 0

    def written(self) -> str:
        """Return what it wrote in this scene."""
        return self.log.read_bytes()[self._told :].decode(errors="replace") if self.log.exists() else ""

    def tail(self, lines: int = LOG_LINES) -> str:
        """Return the end of its log, without what is said of each request and each job."""
        written = self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.exists() else []
        told = [
            line[:400]
            for line in written
            if not any(f'"event": "{event}"' in line for event in ("request", "job done"))
        ]
        return "\n".join([f"--- {self.name}", *told[-lines:]])


class Processes:
    """The whole service."""

    nothing: ClassVar[Mapping[str, int]] = NOTHING  # what the observer says when all is done

    def __init__(
        self, project: Path, folder: Path, database: Database, settings: Mapping[str, str], roles: Iterable[str]
    ) -> None:
        self.project, self.folder, self.database, self.roles = project, folder, database, tuple(roles)
        self.settings = {**SETTINGS, "DATABASE_URL": database.url, "PROBE_FOLDER": str(folder), **settings}
        self.first = 0  # the numbers of the jobs of this scene begin here
        self.members = {name: Member(name, project, folder, self.settings) for name in ("observer", *self.roles)}

    def __getitem__(self, name: str) -> Member:
        """Return one of its processes."""
        return self.members[name]

    def begin(self) -> float:
        """Begin a new scene, with everything running, and return when that was."""
        self.start("observer")
        if self.observe("waiting") != self.nothing:  # an earlier scene has failed
            for name in self.roles:
                self[name].kill()
            self.observe("", "DELETE")
        self.start()
        for member in self.members.values():
            member.begin()
        self.first += SCENE
        return time.monotonic()

    def app(self, *arguments: str) -> str:
        """Run a command of the service, and return what it wrote."""
        return call(self.project, self.settings, *arguments)

    def start(self, *names: str, **settings: str) -> None:
        """Start some processes, or all of them, and wait until they are ready."""
        chosen = [self.members[name] for name in names or self.members]
        for member in chosen:
            member.start(**settings)
        for member in chosen:
            member.wait()

    def observe(self, path: str, method: str = "GET") -> Any:
        """Ask what is there in this scene; nothing if nobody answers at present."""
        connection = http.client.HTTPConnection("127.0.0.1", self["observer"].port, timeout=30)
        try:
            answer = ask(connection, method, f"/probe/{path}?first={self.first}")
        except (OSError, http.client.HTTPException):
            return None
        return answer.json() if answer.status == 200 else None

    def settle(self, seconds: float, dead: int = 0) -> None:
        """Start what was killed, and wait until all is done.

        Args:
            seconds: So long this may take.
            dead: So many jobs are expected to fail for good.

        Raises:
            StepError: If it takes longer.
        """
        self.start()
        done = {**self.nothing, "dead": dead}
        if not wait_until(lambda: self.observe("waiting") == done, seconds):
            raise self.error(f"not all is done after {seconds:.0f} seconds: {self.observe('waiting')}")

    def error(self, message: str) -> StepError:
        """Say what went wrong, with the ends of all logs."""
        return StepError("\n".join([message, *(member.tail() for member in self.members.values())]))

    def written(self) -> str:
        """Return what all processes wrote in this scene."""
        return "".join(member.written() for member in self.members.values())

    def killed(self) -> dict[int, float]:
        """Tell when each process was killed or told to stop, by its id."""
        return {pid: moment for member in self.members.values() for pid, moment in member.killed.items()}

    def lines(self, name: str) -> list[tuple[int, int, float]]:
        """Read what the tasks wrote into a file: a number, the id of a process, a moment."""
        file = self.folder / name
        written = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        read = ((int(number), int(pid), float(moment)) for number, pid, moment in map(str.split, written))
        return [line for line in read if line[0] >= self.first]


class Site(Processes):
    """A service that does its work with Redis."""

    def __init__(self, project: Path, folder: Path, database: Database, redis: Redis) -> None:
        super().__init__(project, folder, database, {"REDIS_URL": redis.url}, ROLES)
        self.redis = redis


@contextmanager
def site(project: Path) -> Generator[Site]:
    """Provide a service of a project, with an empty database and nothing running but the servers it needs."""
    with tempfile.TemporaryDirectory(prefix="site-") as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        postgres = (project / "app/db/embedded.py").is_file()
        database = (Postgres if postgres else Sqlite)(project, folder)
        redis = Redis(redis_binary(project), folder)
        made = Site(project, folder, database, redis)
        try:
            made.app("db", "upgrade")
            yield made
        finally:
            for member in made.members.values():
                if member.process:
                    kill(member.process)
            redis.stop()
            database.stop()
