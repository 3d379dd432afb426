"""The servers to measure: our project, two references, and another template. Each is started as in production."""

import json
import secrets
import tempfile
import time
import tomllib
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import psutil

from tests.bench.load import Request
from tests.matrix.background import background
from tests.matrix.processes import run
from tests.matrix.service import FORM, START_SECONDS, Response, Service, database, launched
from tests.matrix.sign_in import AUTH, PASSWORD, Settings, sign_in
from tests.rendering import render

REFERENCE = Path(__file__).parent / "reference"
EMAIL = "ada@example.com"
ROWS = 1_000
TODO_BODY = json.dumps({"title": "Buy milk"})
# Raised far above the default, so that attempts are counted but never rejected.
RATE_LIMITS = ("AUTH_ADDRESS_LIMIT", "JWT_ACCOUNT_LIMIT", "JWT_ACCOUNT_TOTAL_LIMIT")
# As `app serve` does: one process, without the access log of uvicorn.
UVICORN = ("-m", "uvicorn", "--no-access-log", "--no-server-header", "--log-level", "warning")
REFERENCE_PACKAGES = (
    *("aiosqlite", "argon2-cffi", "fastapi", "greenlet", "orjson", "psycopg[binary,pool]", "pyjwt"),
    *("python-multipart", "sqlmodel", "uvicorn[standard]"),
)
# Its migrations need an extension that PostgreSQL from a wheel lacks; this creates the same tables.
TABLES = "from app.core.db import engine; from app.models import SQLModel; SQLModel.metadata.create_all(engine)"


@dataclass
class Target:
    """A running server, and its requests."""

    name: str
    service: Service
    cold_seconds: float  # from the start of the process to the first response
    requests: dict[str, Request] = field(default_factory=dict)

    def cpu_seconds(self) -> float:
        """Return the user and system CPU time of the process and its children."""
        times = [process.cpu_times() for process in self._processes()]
        return sum(each.user + each.system for each in times)

    def rss_mb(self) -> float:
        """Return the resident memory of the process and its children, in MB."""
        return sum(process.memory_info().rss for process in self._processes()) / 1e6

    def ask(self, request: Request) -> Response:
        """Send a request once.

        Raises:
            RuntimeError: If the response is not 2xx.
        """
        body: Any = request.body if FORM in request.headers.values() else json.loads(request.body or "null")
        response = self.service.request(request.method, request.path, body, request.headers)
        if response.status // 100 != 2:
            raise RuntimeError(f"{self.name}: {request.method} {request.path}: {response}")
        return response

    def create_rows(self, **requests: Request) -> None:
        """Create the rows to list, and add a request for one of them."""
        self.requests |= requests
        for _ in range(ROWS):
            created = self.ask(requests["create"])
        path = f"{urlsplit(requests['create'].path).path.rstrip('/')}/{created.json()['id']}"
        self.requests["get"] = Request("GET", path, requests["create"].headers)

    def _processes(self) -> list[psutil.Process]:
        process = psutil.Process(self.service.process.pid)
        return [process, *process.children(recursive=True)]


@contextmanager
def start_target(
    name: str, command: Sequence[str | Path], health: str, folder: Path, settings: Mapping[str, str]
) -> Generator[Target]:
    """Start a server, and wait for its first response.

    Raises:
        RuntimeError: If it does not respond; the message contains its log.
    """
    started_at, log = time.monotonic(), folder / f"{name}.log"
    with launched(command, folder, log, settings) as service:
        while service.status(health) != 200:
            if service.process.poll() is not None or time.monotonic() > started_at + START_SECONDS:
                raise RuntimeError(f"{name} does not respond:\n{log.read_text(encoding='utf-8')}")
            time.sleep(0.01)
        yield Target(name, service, time.monotonic() - started_at)


@contextmanager
def project_target(project: Path, name: str = "ours") -> Generator[Target]:
    """Start an installed project with its servers and background processes."""
    with ExitStack() as stack:
        url = stack.enter_context(database(project))
        auth = stack.enter_context(sign_in(project))
        other_processes = stack.enter_context(background(project, auth.settings))
        settings = {"ENV": "prod", "DATABASE_URL": url, **auth.settings, **other_processes.settings}
        settings |= {"JWT_ACCESS_TOKEN_MINUTES": "60"} | dict.fromkeys(RATE_LIMITS, "1000000/minute")
        auth.app("db", "upgrade", settings=settings)
        serve = (project / ".venv/bin/app", "serve")
        target = stack.enter_context(start_target(name, serve, "/health/live", project, settings))
        stack.enter_context(other_processes.running(settings))
        headers = auth.register(target.service, EMAIL)
        target.create_rows(
            health=Request("GET", "/health/live"),
            list=Request("GET", "/api/v1/todos?limit=100&order=-created_at", headers),
            filter=Request("GET", "/api/v1/todos?limit=100&status=open", headers),
            create=Request("POST", "/api/v1/todos", headers, TODO_BODY),
            login=_log_in(f"{AUTH}/token", EMAIL, PASSWORD),
        )
        yield target


@contextmanager
def temporary_folder() -> Generator[Path]:
    """Create a temporary folder. It is readable for other users, because PostgreSQL may run as one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        yield folder


def install(template: Path, folder: Path, **answers: object) -> Path:
    """Render and install a project with password authentication."""
    project = render(template, folder, {"auth": "jwt", **answers})
    run(project, "uv", "sync", "--quiet")
    return project


@contextmanager
def reference_target(name: str, python: Path, folder: Path, url: str) -> Generator[Target]:
    """Start a reference, `bare` or `limit`, on an empty database."""
    secret = secrets.token_urlsafe(32)
    settings = {"BENCH_SECRET": secret, "BENCH_EMAIL": EMAIL, "BENCH_PASSWORD": PASSWORD, "DATABASE_URL": url}
    command = (python, *UVICORN, "--app-dir", REFERENCE.parent, f"reference.{name}:app")
    with start_target(name, command, "/health", folder, settings) as target:
        token = target.ask(_log_in("/token", EMAIL, PASSWORD)).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        target.create_rows(
            health=Request("GET", "/health"),
            list=Request("GET", "/todos?limit=100", headers),
            filter=Request("GET", "/todos?limit=100&status=open", headers),
            create=Request("POST", "/todos", headers, TODO_BODY),
            login=_log_in("/token", EMAIL, PASSWORD),
        )
        yield target


def interpreter(project: Path, folder: Path, requirements: Iterable[str] = REFERENCE_PACKAGES) -> Path:
    """Create a virtual environment with the Python of a project, and return the interpreter."""
    run(folder, "uv", "venv", "--quiet", "--no-project", "--python", str(project / ".venv/bin/python"), "environment")
    run(folder, "uv", "pip", "install", "--quiet", "--python", "environment", *requirements)
    return folder / "environment/bin/python"


@contextmanager
def full_stack_target(checkout: Path, project: Path, folder: Path, url: str) -> Generator[Target]:
    """Start the backend of full-stack-fastapi-template; use a release that supports the Python version of our project."""
    backend = checkout / "backend"
    dependencies = tomllib.loads((backend / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    python = interpreter(project, folder, dependencies)
    parts = urlsplit(url)
    settings: Settings = {
        "DATABASE_URL": url.replace("+psycopg", ""),  # replaces the following five in newer versions
        "POSTGRES_SERVER": parts.hostname or "localhost",
        "POSTGRES_PORT": str(parts.port or 5432),
        "POSTGRES_USER": parts.username or "",
        "POSTGRES_PASSWORD": parts.password or "",
        "POSTGRES_DB": f"{parts.path.removeprefix('/')}?{parts.query}",  # with the socket if there is no host
        "FIRST_SUPERUSER": EMAIL,
        "FIRST_SUPERUSER_PASSWORD": PASSWORD,
        "PROJECT_NAME": "peer",
        "PYTHONPATH": str(backend),
        "SECRET_KEY": secrets.token_urlsafe(32),
    }
    run(backend, str(python), "-c", TABLES, timeout=60, **settings)
    run(backend, str(python), "app/initial_data.py", timeout=60, **settings)
    command = (python, "-m", "fastapi", "run", "--workers", "1", backend / "app/main.py")
    with start_target("full-stack", command, "/api/v1/utils/health-check/", folder, settings) as target:
        token = target.ask(_log_in("/api/v1/login/access-token", EMAIL, PASSWORD)).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        target.create_rows(
            health=Request("GET", "/api/v1/utils/health-check/"),
            list=Request("GET", "/api/v1/items/?limit=100", headers),
            create=Request("POST", "/api/v1/items/", headers, TODO_BODY),
            login=_log_in("/api/v1/login/access-token", EMAIL, PASSWORD),
        )
        yield target


@contextmanager
def databases(project: Path, names: Iterable[str]) -> Generator[dict[str, str]]:
    """Provide an empty database for each name: on the PostgreSQL server of the project, or as SQLite files."""
    with database(project) as url:
        if url.startswith("sqlite"):
            yield {name: url.replace("production", name) for name in names}
            return
        create = "import sys, psycopg\nwith psycopg.connect(sys.argv[1], autocommit=True) as c:\n    "
        create += "for n in sys.argv[2:]: c.execute(f'CREATE DATABASE \"{n}\"')"
        run(project, ".venv/bin/python", "-c", create, url.replace("+psycopg", ""), *names)
        yield {name: urlsplit(url)._replace(path=f"/{name}").geturl() for name in names}


def _log_in(path: str, email: str, password: str) -> Request:
    return Request("POST", path, {"Content-Type": FORM}, urlencode({"username": email, "password": password}))
