"""A project that runs: what is started for it, what it is asked, and how it is stopped."""

import http.client
import json
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import psutil

from tests.matrix.processes import StepError, environment

START_SECONDS = 60
ANSWER_SECONDS = 30  # on a machine where other tests run, too
PORTS = 10_000, 30_000  # below those that Linux, macOS and Windows give to clients
GRACE_SECONDS = 20  # the default of SHUTDOWN_GRACE_SECONDS
FORM = "application/x-www-form-urlencoded"

# The development server of the project itself, for as long as its standard input is open.
EMBEDDED = """
import sys
from app.db.embedded import database_url
print(database_url().render_as_string(hide_password=False), flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """Read the body."""
        return json.loads(self.body)

    def cookie(self) -> str:
        """Return the cookie that came along, as a browser sends it back."""
        cookies = SimpleCookie(self.headers["Set-Cookie"])
        return "; ".join(f"{name}={cookie.value}" for name, cookie in cookies.items())


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send a request, with a text as a form and any other body as JSON."""
    form = isinstance(body, str)
    content = body if form else None if body is None else json.dumps(body)
    try:
        connection.request(
            method, path, content, {"Content-Type": FORM if form else "application/json", **(headers or {})}
        )
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


@dataclass(frozen=True)
class Service:
    """A running project."""

    process: subprocess.Popen[str]
    port: int
    log: Path

    def connection(self, timeout: float = ANSWER_SECONDS) -> http.client.HTTPConnection:
        """Connect."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def request(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request; see `ask`."""
        return ask(self.connection(), method, path, body, headers)

    def status(self, path: str) -> int:
        """Return the status of an answer, 0 if there is none."""
        try:
            return self.request("GET", path).status
        except (OSError, http.client.HTTPException):
            return 0


def database(project: Path) -> AbstractContextManager[str]:
    """Provide an empty database, and tell its address."""
    (project / ".data").mkdir(exist_ok=True)
    return _postgres(project) if (project / "app/db/embedded.py").is_file() else _sqlite(project)


@contextmanager
def _sqlite(project: Path) -> Generator[str]:
    yield f"sqlite+aiosqlite:///{project / '.data/production.db'}"


def _postgres(project: Path) -> AbstractContextManager[str]:
    return provided(project, EMBEDDED, "postgresql", "The project's own PostgreSQL server did not start.")


@contextmanager
def provided(project: Path, program: str, beginning: str, otherwise: str) -> Generator[str]:
    """Run a program of the project that tells an address and ends with its standard input; yield the address.

    Raises:
        StepError: If no line begins so, with what to say then.
    """
    server = subprocess.Popen(
        [project / ".venv/bin/python", "-c", program],
        cwd=project,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout
    try:
        yield _line(server.stdout, beginning, otherwise)
    finally:
        server.communicate(timeout=START_SECONDS)


def _line(output: Iterable[str], beginning: str, otherwise: str) -> str:
    """Return the line that begins so; the ones before it are log lines."""
    for line in output:
        if line.startswith(beginning):
            return line.strip()
    raise StepError(otherwise)


@contextmanager
def serving(project: Path, log: Path, settings: Mapping[str, str], command: str = "serve") -> Generator[Service]:
    """Run a process that answers while the block runs; it begins when the process is ready."""
    with launched([project / ".venv/bin/app", *command.split()], project, log, settings) as service:
        try:
            _wait_for(service)
            yield service
        except (AssertionError, OSError, http.client.HTTPException) as error:
            raise StepError(f"{type(error).__name__}: {error}\n{log.read_text(encoding='utf-8')}") from error


@contextmanager
def launched(command: Sequence[str | Path], folder: Path, log: Path, settings: Mapping[str, str]) -> Generator[Service]:
    """Start a process that takes a `--port`, and kill what is left of it when the block ends."""
    port = free_port()
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            cwd=folder,
            env=environment(**settings),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        yield Service(process, port, log)
    finally:
        kill(process)


def _wait_for(service: Service) -> None:
    ready = wait_until(
        lambda: service.process.poll() is not None or service.status("/health/ready") == 200, START_SECONDS
    )
    assert ready, f"not ready after {START_SECONDS} seconds"
    assert service.process.poll() is None, "it ended instead of serving"
    assert service.status("/health/live") == 200


def stop(service: Service) -> None:
    """Send SIGTERM and expect a clean end in time."""
    children = psutil.Process(service.process.pid).children(recursive=True)
    service.process.send_signal(signal.SIGTERM)
    try:
        code = service.process.wait(timeout=GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"still running {GRACE_SECONDS} seconds after SIGTERM") from None
    assert code == 0, f"exit code {code} after SIGTERM"
    assert not [child for child in children if child.is_running()], "children are left"


def free_port() -> int:
    """Return a port that nobody listens on.

    Not one that the system gives to whoever asks for any: the next client of another test would be given it, too.
    """
    while True:
        port = random.randrange(*PORTS)  # noqa: S311 - not for secrets
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


def kill(process: subprocess.Popen[str]) -> None:
    """Kill what is left of a process and its children."""
    if process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
    process.wait()


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Tell whether something comes true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False
