"""Start a project with its database, send requests, and stop it."""

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

START_SECONDS = 300
RESPONSE_SECONDS = 30  # other tests run on the same machine
PORTS = 10_000, 30_000  # below the ephemeral ports of Linux, macOS and Windows
GRACE_SECONDS = 20  # the default of SHUTDOWN_GRACE_SECONDS
FORM = "application/x-www-form-urlencoded"

# The development database server of the project; runs until standard input is closed.
EMBEDDED = """
import sys
from app.db.embedded import database_url
print(database_url().render_as_string(hide_password=False), flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Response:
    """An HTTP response."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """Parse the body."""
        return json.loads(self.body)

    def cookie(self) -> str:
        """Return the cookies of the response, as a browser sends them back."""
        cookies = SimpleCookie(self.headers["Set-Cookie"])
        return "; ".join(f"{name}={cookie.value}" for name, cookie in cookies.items())


Answer = Response  # the former name, which tests/test_containers.py still uses


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Send a request. A string is sent as a form, any other body as JSON."""
    form = isinstance(body, str)
    content = body if form else None if body is None else json.dumps(body)
    try:
        connection.request(
            method, path, content, {"Content-Type": FORM if form else "application/json", **(headers or {})}
        )
        response = connection.getresponse()
        return Response(response.status, response.headers, response.read())
    finally:
        connection.close()


@dataclass(frozen=True)
class Service:
    """A running process of a project."""

    process: subprocess.Popen[str]
    port: int
    log: Path

    def connection(self, timeout: float = RESPONSE_SECONDS) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def request(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Send a request; see `ask`."""
        return ask(self.connection(), method, path, body, headers)

    def status(self, path: str) -> int:
        """Return the status of a GET request, 0 if it fails."""
        try:
            return self.request("GET", path).status
        except (OSError, http.client.HTTPException):
            return 0


def database(project: Path) -> AbstractContextManager[str]:
    """Provide an empty database, and yield its URL."""
    (project / ".data").mkdir(exist_ok=True)
    return _postgres(project) if (project / "app/db/embedded.py").is_file() else _sqlite(project)


@contextmanager
def _sqlite(project: Path) -> Generator[str]:
    yield f"sqlite+aiosqlite:///{project / '.data/production.db'}"


def _postgres(project: Path) -> AbstractContextManager[str]:
    return project_server(project, EMBEDDED, "postgresql", "The PostgreSQL server of the project did not start.")


@contextmanager
def project_server(project: Path, program: str, prefix: str, error: str) -> Generator[str]:
    """Run a server with the project's Python, and yield the address it prints; close its standard input afterwards.

    Args:
        project: The project.
        program: The Python code.
        prefix: The start of the line with the address.
        error: The message if no line starts with the prefix.

    Raises:
        StepError: If no line starts with the prefix.
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
        yield _line(server.stdout, prefix, error)
    finally:
        server.communicate(timeout=START_SECONDS)


def _line(output: Iterable[str], prefix: str, error: str) -> str:
    """Return the first line that starts with a prefix; the lines before it are logs."""
    for line in output:
        if line.startswith(prefix):
            return line.strip()
    raise StepError(error)


@contextmanager
def serving(project: Path, log: Path, settings: Mapping[str, str], command: str = "serve") -> Generator[Service]:
    """Run a process during the block, which starts when the process is ready."""
    with launched([project / ".venv/bin/app", *command.split()], project, log, settings) as service:
        try:
            _wait_for(service)
            yield service
        except (AssertionError, OSError, http.client.HTTPException) as error:
            raise StepError(f"{type(error).__name__}: {error}\n{log.read_text(encoding='utf-8')}") from error


@contextmanager
def launched(command: Sequence[str | Path], folder: Path, log: Path, settings: Mapping[str, str]) -> Generator[Service]:
    """Start a process with a `--port` option; kill it and its children when the block ends."""
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
    """Send SIGTERM, and expect a clean exit within the grace period."""
    children = psutil.Process(service.process.pid).children(recursive=True)
    service.process.send_signal(signal.SIGTERM)
    try:
        code = service.process.wait(timeout=GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"still running {GRACE_SECONDS} seconds after SIGTERM") from None
    assert code == 0, f"exit code {code} after SIGTERM"
    assert not [child for child in children if child.is_running()], "child processes are still running"


def free_port() -> int:
    """Return a free port.

    It is not an ephemeral one, because the system might assign that to the next client of another test.
    """
    while True:
        port = random.randrange(*PORTS)  # noqa: S311 - not for secrets
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a process and its children, if it is still running."""
    if process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
    process.wait()


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until a condition is true, and return whether that happened in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False
