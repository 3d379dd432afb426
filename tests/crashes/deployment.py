"""A service with all its processes, any of which can be killed: API, relays, workers, database and Redis."""

import http.client
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from tests.crashes.project import SETTINGS, run_app
from tests.crashes.servers import Database, Postgres, Redis, Sqlite, redis_binary
from tests.matrix.processes import StepError, environment
from tests.matrix.service import GRACE_SECONDS, START_SECONDS, Service, ask, free_port, kill, wait_until

MARGIN_SECONDS = 10  # added to the grace period for busy machines
LOG_LINES = 12
IDLE = {"pending": 0, "sent": 0, "running": 0, "dead": 0}
NUMBERS_PER_SCENARIO = 10_000_000  # numbers reserved for the jobs of one scenario

# `observer` is an API that is never killed; the tests query the state through it.
SERVERS = ("observer", "api")  # other processes start with `app run`
ROLES = {"api": "api", "relay-1": "relay", "relay-2": "relay", "worker-1": "worker", "worker-2": "worker"}


class ManagedProcess:
    """One process of the service. It can be restarted, on the same port and with the same log file."""

    def __init__(self, name: str, project: Path, folder: Path, settings: Mapping[str, str]) -> None:
        self.name, self.port, self.log = name, free_port(), folder / f"{name}.log"
        self._project, self._settings = project, settings
        self._log_offset = 0  # the bytes of the log that belong to earlier scenarios
        self.stopped_at: dict[int, float] = {}  # by process id: when it was killed or received SIGTERM
        self.process: subprocess.Popen[str] | None = None

    def start(self, **settings: str) -> None:
        """Start the process unless it is running; `wait` waits until it is ready."""
        if self.running():
            return
        command = ["serve"] if self.name in SERVERS else ["run", self.name.partition("-")[0]]
        with self.log.open("a", encoding="utf-8") as output:
            self.process = subprocess.Popen(
                [self._project / ".venv/bin/app", *command, "--port", str(self.port)],
                cwd=self._project,
                env=environment(**self._settings, **settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ended(self) -> bool:
        """Return whether the process was started and has ended."""
        return self.process is not None and self.process.poll() is not None

    def wait(self) -> None:
        """Wait until the process is ready.

        Raises:
            StepError: If it ends or is not ready in time.
        """
        assert self.process
        service = Service(self.process, self.port, self.log)
        if not wait_until(lambda: not self.running() or service.status("/health/ready") == 200, START_SECONDS):
            raise StepError(f"{self.name} is not ready after {START_SECONDS} seconds\n{self.tail()}")
        if not self.running():
            raise StepError(f"{self.name} ended instead of starting\n{self.tail()}")

    def kill(self) -> None:
        """Kill the process without a chance to clean up."""
        if self.process:
            self.stopped_at[self.process.pid] = time.time()
            kill(self.process)

    def terminate(self) -> float:
        """Send SIGTERM, expect a clean exit, and return how many seconds it took.

        Raises:
            StepError: If it takes too long, or the exit code is not 0.
        """
        self.wait()  # signal handlers are not installed earlier
        assert self.process
        started = self.stopped_at[self.process.pid] = time.time()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=GRACE_SECONDS + MARGIN_SECONDS)
        except subprocess.TimeoutExpired:
            raise StepError(f"{self.name} is still running long after SIGTERM\n{self.tail()}") from None
        if code != 0:
            raise StepError(f"{self.name} exited with {code} after SIGTERM\n{self.tail()}")
        return time.time() - started

    def begin_scenario(self) -> None:
        """Begin a new scenario: `log_output` ignores what was written so far."""
        self._log_offset = self.log.stat().st_size if self.log.exists() else 0

    def log_output(self) -> str:
        """Return what the process has logged in this scenario."""
        return self.log.read_bytes()[self._log_offset :].decode(errors="replace") if self.log.exists() else ""

    def tail(self, lines: int = LOG_LINES) -> str:
        """Return the end of the log, without the lines for single requests and jobs."""
        written = self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.exists() else []
        shown = [
            line[:400]
            for line in written
            if not any(f'"event": "{event}"' in line for event in ("request", "job finished"))
        ]
        return "\n".join([f"--- {self.name}", *shown[-lines:]])


class Deployment:
    """All processes of a service, with its database."""

    idle_state: ClassVar[Mapping[str, int]] = IDLE  # what the observer reports when all work is processed

    def __init__(
        self, project: Path, folder: Path, database: Database, settings: Mapping[str, str], roles: Iterable[str]
    ) -> None:
        self.project, self.folder, self.database, self.roles = project, folder, database, tuple(roles)
        self.settings = {**SETTINGS, "DATABASE_URL": database.url, "PROBE_FOLDER": str(folder), **settings}
        self.first_number = 0  # the lowest job number of this scenario
        self.processes = {
            name: ManagedProcess(name, project, folder, self.settings) for name in ("observer", *self.roles)
        }

    def __getitem__(self, name: str) -> ManagedProcess:
        """Return a process by its name."""
        return self.processes[name]

    def begin_scenario(self) -> float:
        """Begin a new scenario with all processes running, and return the monotonic time."""
        self.start("observer")
        if self.observe("waiting") != self.idle_state:  # an earlier scenario has failed
            for name in self.roles:
                self[name].kill()
            self.observe("", "DELETE")
        self.start()
        for process in self.processes.values():
            process.begin_scenario()
        self.first_number += NUMBERS_PER_SCENARIO
        return time.monotonic()

    def app(self, *arguments: str) -> str:
        """Run a command of the service, and return its output."""
        return run_app(self.project, self.settings, *arguments)

    def start(self, *names: str, **settings: str) -> None:
        """Start the named processes, by default all, and wait until they are ready."""
        chosen = [self.processes[name] for name in names or self.processes]
        for process in chosen:
            process.start(**settings)
        for process in chosen:
            process.wait()

    def observe(self, path: str, method: str = "GET") -> Any:
        """Query the observer about this scenario; None if it fails at present."""
        connection = http.client.HTTPConnection("127.0.0.1", self["observer"].port, timeout=30)
        try:
            response = ask(connection, method, f"/probe/{path}?first={self.first_number}")
        except (OSError, http.client.HTTPException):
            return None
        return response.json() if response.status == 200 else None

    def wait_until_idle(self, seconds: float, dead: int = 0) -> None:
        """Start what was killed, and wait until all work is processed.

        Args:
            seconds: The time limit.
            dead: The expected number of dead letters.

        Raises:
            StepError: If it takes longer.
        """
        self.start()
        done = {**self.idle_state, "dead": dead}
        if not wait_until(lambda: self.observe("waiting") == done, seconds):
            raise self.error(f"work is left after {seconds:.0f} seconds: {self.observe('waiting')}")

    def error(self, message: str) -> StepError:
        """Return an error with the ends of all logs."""
        return StepError("\n".join([message, *(process.tail() for process in self.processes.values())]))

    def log_output(self) -> str:
        """Return what all processes have logged in this scenario."""
        return "".join(process.log_output() for process in self.processes.values())

    def stopped_at(self) -> dict[int, float]:
        """Return when each process was killed or received SIGTERM, by process id."""
        return {pid: timestamp for process in self.processes.values() for pid, timestamp in process.stopped_at.items()}

    def trace(self, name: str) -> list[tuple[int, int, float]]:
        """Read a trace file of the tasks. Each line has a job number, a process id and a timestamp."""
        file = self.folder / name
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        read = ((int(number), int(pid), float(timestamp)) for number, pid, timestamp in map(str.split, lines))
        return [line for line in read if line[0] >= self.first_number]


class JobDeployment(Deployment):
    """A service with background jobs, and its Redis server."""

    def __init__(self, project: Path, folder: Path, database: Database, redis: Redis) -> None:
        super().__init__(project, folder, database, {"REDIS_URL": redis.url}, ROLES)
        self.redis = redis


@contextmanager
def deploy_jobs(project: Path) -> Generator[JobDeployment]:
    """Provide a service with an empty database; only the servers it needs are running."""
    with tempfile.TemporaryDirectory(prefix="deployment-") as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        postgres = (project / "app/db/embedded.py").is_file()
        database = (Postgres if postgres else Sqlite)(project, folder)
        redis = Redis(redis_binary(project), folder)
        deployment = JobDeployment(project, folder, database, redis)
        try:
            deployment.app("db", "upgrade")
            yield deployment
        finally:
            for process in deployment.processes.values():
                if process.process:
                    kill(process.process)
            redis.stop()
            database.stop()
