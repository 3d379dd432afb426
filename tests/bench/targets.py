"""What is measured: our projects, both references, and the template of others. Each is started as in production."""

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
from tests.matrix.service import FORM, START_SECONDS, Answer, Service, database, launched
from tests.matrix.sign_in import AUTH, PASSWORD, Settings, sign_in
from tests.rendering import render

REFERENCE = Path(__file__).parent / "reference"
EMAIL = "ada@example.com"
ROWS = 1_000
MILK = json.dumps({"title": "Buy milk"})
# Nobody logs in so often; the attempts are counted all the same.
LIMITS = ("AUTH_ADDRESS_LIMIT", "JWT_ACCOUNT_LIMIT", "JWT_ACCOUNT_TOTAL_LIMIT")
# As `app serve` runs it: one process, and no access lines of uvicorn.
UVICORN = ("-m", "uvicorn", "--no-access-log", "--no-server-header", "--log-level", "warning")
NEEDED = (
    *("aiosqlite", "argon2-cffi", "fastapi", "greenlet", "orjson", "psycopg[binary,pool]", "pyjwt"),
    *("python-multipart", "sqlmodel", "uvicorn[standard]"),
)
# Its migrations want an extension that the PostgreSQL from a wheel does not have, and make the same tables.
TABLES = "from app.core.db import engine; from app.models import SQLModel; SQLModel.metadata.create_all(engine)"


@dataclass
class Target:
    """A server that runs, and what it is asked."""

    name: str
    service: Service
    cold_seconds: float  # from the start of the process to the first answer
    requests: dict[str, Request] = field(default_factory=dict)

    def cpu_seconds(self) -> float:
        """Return what it and its children have used so far, user and system."""
        times = [process.cpu_times() for process in self._processes()]
        return sum(each.user + each.system for each in times)

    def rss_mb(self) -> float:
        """Return what it and its children hold of the memory, in MB."""
        return sum(process.memory_info().rss for process in self._processes()) / 1e6

    def ask(self, request: Request) -> Answer:
        """Send a request once.

        Raises:
            RuntimeError: If the answer is none of 2xx.
        """
        body: Any = request.body if FORM in request.headers.values() else json.loads(request.body or "null")
        answer = self.service.request(request.method, request.path, body, request.headers)
        if answer.status // 100 != 2:
            raise RuntimeError(f"{self.name}: {request.method} {request.path}: {answer}")
        return answer

    def fill(self, **requests: Request) -> None:
        """Make the rows that are listed, and learn what one of them is called."""
        self.requests |= requests
        for _ in range(ROWS):
            made = self.ask(requests["create"])
        path = f"{urlsplit(requests['create'].path).path.rstrip('/')}/{made.json()['id']}"
        self.requests["get"] = Request("GET", path, requests["create"].headers)

    def _processes(self) -> list[psutil.Process]:
        process = psutil.Process(self.service.process.pid)
        return [process, *process.children(recursive=True)]


@contextmanager
def started(
    name: str, command: Sequence[str | Path], health: str, folder: Path, settings: Mapping[str, str]
) -> Generator[Target]:
    """Start a server, and wait for its first answer.

    Raises:
        RuntimeError: If it does not answer; with what it wrote.
    """
    began, log = time.monotonic(), folder / f"{name}.log"
    with launched(command, folder, log, settings) as service:
        while service.status(health) != 200:
            if service.process.poll() is not None or time.monotonic() > began + START_SECONDS:
                raise RuntimeError(f"{name} does not answer:\n{log.read_text(encoding='utf-8')}")
            time.sleep(0.01)
        yield Target(name, service, time.monotonic() - began)


@contextmanager
def ours(project: Path, name: str = "ours") -> Generator[Target]:
    """Start a project that is installed, with all that belongs to it."""
    with ExitStack() as stack:
        url = stack.enter_context(database(project))
        people = stack.enter_context(sign_in(project))
        beside = stack.enter_context(background(project, people.settings))
        settings = {"ENV": "prod", "DATABASE_URL": url, **people.settings, **beside.settings}
        settings |= {"JWT_ACCESS_TOKEN_MINUTES": "60"} | dict.fromkeys(LIMITS, "1000000/minute")
        people.app("db", "upgrade", settings=settings)
        serve = (project / ".venv/bin/app", "serve")
        target = stack.enter_context(started(name, serve, "/health/live", project, settings))
        stack.enter_context(beside.running(settings))
        headers = people.open(target.service, EMAIL)
        target.fill(
            health=Request("GET", "/health/live"),
            list=Request("GET", "/api/v1/todos?limit=100&order=-created_at", headers),
            filter=Request("GET", "/api/v1/todos?limit=100&status=open", headers),
            create=Request("POST", "/api/v1/todos", headers, MILK),
            login=_log_in(f"{AUTH}/token", EMAIL, PASSWORD),
        )
        yield target


@contextmanager
def workplace() -> Generator[Path]:
    """Make a folder that goes afterwards. Others may look into it: PostgreSQL may run as somebody else."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        yield folder


def install(template: Path, folder: Path, **answers: object) -> Path:
    """Render a project with sign-in by password, and install it."""
    project = render(template, folder, {"auth": "jwt", **answers})
    run(project, "uv", "sync", "--quiet")
    return project


@contextmanager
def reference(name: str, python: Path, folder: Path, url: str) -> Generator[Target]:
    """Start a reference, `bare` or `limit`, on an empty database."""
    secret = secrets.token_urlsafe(32)
    settings = {"BENCH_SECRET": secret, "BENCH_EMAIL": EMAIL, "BENCH_PASSWORD": PASSWORD, "DATABASE_URL": url}
    command = (python, *UVICORN, "--app-dir", REFERENCE.parent, f"reference.{name}:app")
    with started(name, command, "/health", folder, settings) as target:
        signed_in = target.ask(_log_in("/token", EMAIL, PASSWORD)).json()["access_token"]
        headers = {"Authorization": f"Bearer {signed_in}"}
        target.fill(
            health=Request("GET", "/health"),
            list=Request("GET", "/todos?limit=100", headers),
            filter=Request("GET", "/todos?limit=100&status=open", headers),
            create=Request("POST", "/todos", headers, MILK),
            login=_log_in("/token", EMAIL, PASSWORD),
        )
        yield target


def interpreter(project: Path, folder: Path, requirements: Iterable[str] = NEEDED) -> Path:
    """Make a virtual environment of the same Python as a project's, and return its interpreter."""
    run(folder, "uv", "venv", "--quiet", "--no-project", "--python", str(project / ".venv/bin/python"), "environment")
    run(folder, "uv", "pip", "install", "--quiet", "--python", "environment", *requirements)
    return folder / "environment/bin/python"


@contextmanager
def full_stack(checkout: Path, project: Path, folder: Path, url: str) -> Generator[Target]:
    """Start the backend of a checkout of full-stack-fastapi-template; what supports our Python is its release before 3.14."""
    backend = checkout / "backend"
    needed = tomllib.loads((backend / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    python = interpreter(project, folder, needed)
    parts = urlsplit(url)
    settings: Settings = {
        "DATABASE_URL": url.replace("+psycopg", ""),  # newer than the five that follow
        "POSTGRES_SERVER": parts.hostname or "localhost",
        "POSTGRES_PORT": str(parts.port or 5432),
        "POSTGRES_USER": parts.username or "",
        "POSTGRES_PASSWORD": parts.password or "",
        "POSTGRES_DB": f"{parts.path.removeprefix('/')}?{parts.query}",  # with the socket, if there is no host
        "FIRST_SUPERUSER": EMAIL,
        "FIRST_SUPERUSER_PASSWORD": PASSWORD,
        "PROJECT_NAME": "peer",
        "PYTHONPATH": str(backend),
        "SECRET_KEY": secrets.token_urlsafe(32),
    }
    run(backend, str(python), "-c", TABLES, timeout=60, **settings)
    run(backend, str(python), "app/initial_data.py", timeout=60, **settings)
    command = (python, "-m", "fastapi", "run", "--workers", "1", backend / "app/main.py")
    with started("full-stack", command, "/api/v1/utils/health-check/", folder, settings) as target:
        signed_in = target.ask(_log_in("/api/v1/login/access-token", EMAIL, PASSWORD)).json()["access_token"]
        headers = {"Authorization": f"Bearer {signed_in}"}
        target.fill(
            health=Request("GET", "/api/v1/utils/health-check/"),
            list=Request("GET", "/api/v1/items/?limit=100", headers),
            create=Request("POST", "/api/v1/items/", headers, MILK),
            login=_log_in("/api/v1/login/access-token", EMAIL, PASSWORD),
        )
        yield target


@contextmanager
def databases(project: Path, names: Iterable[str]) -> Generator[dict[str, str]]:
    """Give an empty database to each: on the project's own PostgreSQL server, or a file each of SQLite."""
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
