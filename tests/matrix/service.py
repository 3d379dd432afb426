"""Starting a project the way production does, and asking whether it serves and stops as it should."""

import http.client
import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.matrix.processes import StepError, environment, run

START_SECONDS = 60
GRACE_SECONDS = 20  # the default of SHUTDOWN_GRACE_SECONDS

# The development server of the project itself, for as long as its standard input is open.
EMBEDDED = """
import sys
from app.db.embedded import database_url
print(database_url().render_as_string(hide_password=False), flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Service:
    """A running project."""

    process: subprocess.Popen[str]
    port: int
    log: Path

    def request(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """Send a request, with a body as JSON; return the status and the body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def status(self, path: str) -> int:
        """Return the status of an answer, 0 if there is none."""
        try:
            return self.request("GET", path)[0]
        except (OSError, http.client.HTTPException):
            return 0


def boot(project: Path) -> None:
    """Migrate and serve a project with ENV=prod, use it, stop it.

    Raises:
        StepError: If any of it goes wrong; with the log.
    """
    app = str(project / ".venv/bin/app")
    log = project / ".data/serve.log"
    with _database(project) as url:
        migrated = run(project, app, "db", "upgrade", ENV="prod", DATABASE_URL=url)
        _require_json(migrated)
        with _serving(project, log, url) as service:
            user = _round_trip(service)
            with ExitStack() as open_answers:
                if (project / "app/modules/todo").is_dir():
                    open_answers.enter_context(_following(service, user))
                _stop(service)
    _require_json(log.read_text(encoding="utf-8"))


def _database(project: Path) -> AbstractContextManager[str]:
    (project / ".data").mkdir(exist_ok=True)
    return _postgres(project) if (project / "app/db/embedded.py").is_file() else _sqlite(project)


@contextmanager
def _sqlite(project: Path) -> Generator[str]:
    yield f"sqlite+aiosqlite:///{project / '.data/production.db'}"


@contextmanager
def _postgres(project: Path) -> Generator[str]:
    server = subprocess.Popen(
        [project / ".venv/bin/python", "-c", EMBEDDED],
        cwd=project,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout
    try:
        yield _url(server.stdout)
    finally:
        server.communicate(timeout=START_SECONDS)


def _url(output: Iterable[str]) -> str:
    """Return the line with the address; the ones before it are log lines."""
    for line in output:
        if line.startswith("postgresql"):
            return line.strip()
    raise StepError("The project's own PostgreSQL server did not start.")


@contextmanager
def _serving(project: Path, log: Path, url: str) -> Generator[Service]:
    port = free_port()
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [project / ".venv/bin/app", "serve", "--port", str(port)],
            cwd=project,
            env=environment(ENV="prod", DATABASE_URL=url),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    service = Service(process, port, log)
    try:
        yield service
    except (AssertionError, OSError, http.client.HTTPException) as error:
        raise StepError(f"{type(error).__name__}: {error}\n{log.read_text(encoding='utf-8')}") from error
    finally:
        kill(process)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


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


def _round_trip(service: Service) -> str:
    """Ask for health, register a user, read it back; return its path."""
    ready = wait_until(
        lambda: service.process.poll() is not None or service.status("/health/ready") == 200, START_SECONDS
    )
    assert ready, f"not ready after {START_SECONDS} seconds"
    assert service.process.poll() is None, "it ended instead of serving"
    assert service.status("/health/live") == 200
    status, user = service.request("POST", "/api/v1/users", {"email": "ada@example.com", "name": "Ada Lovelace"})
    assert status == 201, (status, user)
    path = f"/api/v1/users/{json.loads(user)['id']}"
    assert service.request("GET", path) == (200, user)
    return path


@contextmanager
def _following(service: Service, user: str) -> Generator[None]:
    """Hold the live feed open: an answer without an end must not hold up the stop."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=START_SECONDS)
    connection.request("GET", f"{user}/todos/feed")
    feed = connection.getresponse()
    assert feed.status == 200
    assert service.request("POST", f"{user}/todos", {"title": "Buy milk"})[0] == 201
    assert any(line.strip() == b"event: created" for line in feed), "the feed ended without the change"
    yield
    feed.read()  # ends, because the server has ended it
    connection.close()


def _stop(service: Service) -> None:
    """Send SIGTERM and expect a clean end in time."""
    children = psutil.Process(service.process.pid).children(recursive=True)
    service.process.send_signal(signal.SIGTERM)
    try:
        code = service.process.wait(timeout=GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"still running {GRACE_SECONDS} seconds after SIGTERM") from None
    assert code == 0, f"exit code {code} after SIGTERM"
    assert not [child for child in children if child.is_running()], "children are left"


def _require_json(log: str) -> None:
    """Expect one JSON object a line, as production promises."""
    for line in filter(str.strip, log.splitlines()):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            raise StepError(f"not a JSON object: {line}\n\n{log}")
