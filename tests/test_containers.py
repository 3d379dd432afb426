"""The Docker image and the compose file of projects: with each database, and with Kafka in each topology.

These tests need a Docker engine, which `.ci/containers up` can start; without one, they are skipped. To run only these tests:
`uv run pytest -m containers`.
"""

import json
import re
import secrets
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from tests.matrix.service import Answer, ask, free_port
from tests.matrix.sign_in import AUTH, PASSWORD, Headers, sign_up
from tests.questionnaire import choices

Render = Callable[[Mapping[str, object]], Path]


def docker(*arguments: str, folder: Path | None = None) -> str:
    """Run a docker command that must succeed, and return its output."""
    result = subprocess.run(
        ["docker", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=900,
    )
    assert result.returncode == 0, f"docker {' '.join(arguments)}\n{result.stdout}"
    return result.stdout


@cache
def engine_missing() -> bool:
    """Return whether no Docker engine is available."""
    return shutil.which("docker") is None or (
        subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0
    )


pytestmark = [
    pytest.mark.complete,
    pytest.mark.containers,
    pytest.mark.skipif(engine_missing(), reason="no Docker engine is running on this machine"),
]


@cache
def build_options() -> dict[str, Any]:
    """Return additional build options for the compose file.

    The engine of `.ci/containers` has no default network, so its builds use the network of the host.
    """
    networks = docker("network", "ls", "--format", "{{.Name}}").split()
    return {} if "bridge" in networks else {"network": "host"}


@cache
def why_not(image: str) -> str:
    """Return why an image is not available, empty if it is."""
    if subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode == 0:
        return ""
    pulled = subprocess.run(["docker", "pull", "--quiet", image], capture_output=True, text=True, check=False)
    return f"no {image} on this engine: {pulled.stderr.strip()}" if pulled.returncode else ""


@dataclass(frozen=True)
class Stack:
    """A rendered project under Docker Compose, isolated from others by its own name, ports and images."""

    folder: Path
    name: str = field(default_factory=lambda: f"test-{uuid.uuid4().hex[:12]}")
    port: int = field(default_factory=free_port)
    mailpit: int = field(default_factory=free_port)

    def compose(self, *arguments: str) -> str:
        """Run a docker compose command for this stack."""
        return docker("compose", "--project-name", self.name, "--file", "stack.yml", *arguments, folder=self.folder)

    def define(self, change: Callable[[dict[str, Any]], None] | None = None) -> None:
        """Write stack.yml, the compose file of the project with other ports. `change` edits the services with their own image."""
        stack = yaml.safe_load((self.folder / "docker-compose.yml").read_text(encoding="utf-8"))
        for service in (service for service in stack["services"].values() if "build" in service):
            service["build"] = {"context": service["build"], **build_options()}
            if change is not None:
                change(service)
        stack["services"][self.door()]["ports"] = [f"127.0.0.1:{self.port}:8000"]
        if "mailpit" in stack["services"]:
            stack["services"]["mailpit"]["ports"] = [f"127.0.0.1:{self.mailpit}:8025"]
        (self.folder / "stack.yml").write_text(yaml.safe_dump(stack), encoding="utf-8")

    def services(self) -> dict[str, Any]:
        """Return the services of the compose file."""
        return yaml.safe_load((self.folder / "docker-compose.yml").read_text(encoding="utf-8"))["services"]

    def door(self) -> str:
        """Return the service that receives requests from outside."""
        return "traefik" if "traefik" in self.services() else "api"

    def start(self) -> None:
        """Build the images, start all containers, and wait until they are healthy."""
        try:
            self.compose("up", "--build", "--detach", "--wait", "--wait-timeout", str(PATIENCE_SECONDS))
        except AssertionError as failure:
            failure.add_note(self.terminal())
            raise

    def request(self, method: str, path: str, body: object = None, headers: Headers | None = None) -> Answer:
        """Send a request to the published port."""
        return ask(HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS), method, path, body, headers)

    def get(self, path: str, headers: Headers | None = None) -> int:
        """Return the status of a GET request."""
        return self.request("GET", path, headers=headers).status

    def container(self, service: str = "api") -> str:
        """Return the id of a container."""
        return self.compose("ps", "--all", "--quiet", service).strip()

    def logs(self) -> list[str]:
        """Return the log lines of the api container."""
        return docker("logs", self.container()).splitlines()

    def terminal(self) -> str:
        """Return the output of all containers."""
        return self.compose("logs", "--no-log-prefix")

    def emails(self) -> str:
        """Return the emails, from Mailpit if the project has it, otherwise from the output."""
        if "mailpit" not in self.services():
            return self.terminal()
        listed = self._mailpit("/api/v1/messages").json()["messages"]
        return "\n".join(self._mailpit(f"/view/{mail['ID']}.txt").body.decode() + mail["Subject"] for mail in listed)

    def _mailpit(self, path: str) -> Answer:
        return ask(HTTPConnection("127.0.0.1", self.mailpit, timeout=PATIENCE_SECONDS), "GET", path)

    def inspect(self, service: str, what: str) -> Any:
        """Return a value from `docker inspect` for a container."""
        return json.loads(docker("inspect", "--format", f"{{{{json .{what}}}}}", self.container(service)))

    def api(self, what: str) -> Any:
        """Return a value from `docker inspect` for the api container."""
        return self.inspect("api", what)


PATIENCE_SECONDS = 300  # for a busy machine
PROJECTS = {"sqlite": {}, "postgres-workers": {"database": "postgres", "workers": True}}


def images(stack: Stack) -> set[str]:
    """Return the external images that the compose file and the Dockerfile use."""
    dockerfile = (stack.folder / "Dockerfile").read_text(encoding="utf-8")
    defaults = dict(re.findall(r'^ARG (\w+)="(.+)"$', dockerfile, flags=re.MULTILINE))
    based_on = {Template(name).substitute(defaults) for name in re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)}
    return based_on | {service["image"] for service in stack.services().values() if "image" in service}


@contextmanager
def copied(project: Path, folder: Path) -> Generator[Stack]:
    """Copy a project, and remove its containers, volumes and images after the block."""
    stack = Stack(shutil.copytree(project, folder))
    stack.define()
    if reasons := [reason for image in sorted(images(stack)) if (reason := why_not(image))]:
        pytest.skip("; ".join(reasons))
    try:
        yield stack
    finally:
        stack.compose("down", "--volumes", "--rmi", "local", "--timeout", "1")


@pytest.fixture(params=PROJECTS)
def stack(request: pytest.FixtureRequest, render: Render, tmp_path: Path) -> Iterator[Stack]:
    """A project with each database."""
    with copied(render(PROJECTS[request.param]), tmp_path / "project") as stack:
        yield stack


@pytest.fixture(params=choices()["topology"])
def whole(request: pytest.FixtureRequest, render: Render, tmp_path: Path) -> Iterator[Stack]:
    """A project with PostgreSQL, workers and Kafka, in each topology."""
    answers = {"database": "postgres", "workers": True, "kafka": True, "topology": request.param}
    with copied(render(answers), tmp_path / "project") as stack:
        yield stack


def produce(service: dict[str, Any]) -> None:
    """Change a service to production mode, with the code in the image and the required settings."""
    service["environment"]["ENV"] = "prod"
    service["environment"]["DATABASE_URL"] = service["environment"]["DATABASE_URL"].replace("change-me", "a-real-one")
    service["environment"] |= {
        "JWT_SECRET_KEY": secrets.token_urlsafe(64),
        "AUTH_APP_URL": "https://app.example.com",
        "SMTP_HOST": "smtp.example.com",
        "SMTP_SENDER": "no-reply@example.com",
    }
    service["volumes"] = [volume for volume in service["volumes"] if not volume.startswith("./")]
    if "--reload" in service["command"]:
        del service["command"]


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until a condition is true, and return whether that happened in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return True
        except (OSError, HTTPException):
            pass
        time.sleep(0.2)
    return False


def test_development_starts_migrated_and_reloads(stack: Stack) -> None:
    stack.start()

    assert stack.get("/health/ready") == 200
    assert stack.get("/api/v1/todos") == 401
    newcomer = sign_up(stack.port, stack.terminal)
    assert stack.get("/api/v1/todos", newcomer) == 200
    with (stack.folder / "app/main.py").open("a", encoding="utf-8") as main:
        main.write("\n")
    assert wait_for(lambda: any("detected changes" in line for line in stack.logs()), seconds=PATIENCE_SECONDS)
    assert wait_for(lambda: stack.get("/health/ready") == 200, seconds=PATIENCE_SECONDS)


def test_production_container_is_hardened_and_stops_in_time(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_PASSWORD", "a-real-one")
    stack.define(produce)
    stack.start()

    assert stack.get("/health/ready") == 200
    assert stack.api("HostConfig.ReadonlyRootfs") is True
    assert stack.api("HostConfig.CapDrop") == ["ALL"]
    assert stack.compose("exec", "-T", "api", "id", "-u").strip() == "10001"

    stack.compose("stop", "api")
    assert stack.api("State.ExitCode") == 0, "killed, because it had not stopped within its grace period"
    assert all("event" in json.loads(line) for line in stack.logs()), "production logs one JSON object per line"


def test_image_contains_only_production_files(stack: Stack) -> None:
    stack.compose("build", "api")
    python = (
        "import importlib.util as u, os, shutil;"
        "print([m for m in ('pytest', 'ruff', 'mkdocs') if u.find_spec(m)], shutil.which('uv'),"
        " sorted(set(os.listdir()) - {'.venv'}), os.access('app', os.W_OK))"
    )
    said = stack.compose("run", "--rm", "--no-deps", "--no-TTY", "api", "python", "-c", python)
    assert said.splitlines()[-1] == "[] None ['alembic', 'alembic.ini', 'app', 'pyproject.toml'] False"


SIGNS_TOKENS = """
import os
try:
    print(open("/keys/private/jwt.json").read().count('"d"') > 0, oct(os.stat("/keys/private/jwt.json").st_mode & 0o777))
except FileNotFoundError:
    print("no key")
"""
BY_ITS_SIGNAL = {"kafka": 143}  # Java exits with this code after SIGTERM


def test_all_services_start_stop_and_keep_data(whole: Stack) -> None:
    # As `app keys secret` writes it. With `topology=services`, other keys are used and the secret must be ignored.
    (whole.folder / ".env").write_text(f"ENV=dev\nJWT_SECRET_KEY={secrets.token_urlsafe(64)}\n", encoding="utf-8")
    whole.start()
    check_order(whole)
    if whole.door() == "traefik":
        check_keys(whole)

    administrator = appoint(whole)
    due = datetime.now(UTC) + timedelta(seconds=2)
    noted = whole.request("POST", "/api/v1/todos", {"title": "Buy milk", "due_at": due.isoformat()}, administrator)
    assert noted.status == 201, noted
    assert wait_for(lambda: "Reminder: Buy milk" in whole.emails(), PATIENCE_SECONDS), whole.terminal()
    assert wait_for(lambda: len(counted(whole, administrator)) == 3, seconds=PATIENCE_SECONDS), whole.terminal()
    before = counted(whole, administrator)
    assert [line["count"] for line in before] == [1, 1, 1], before

    whole.compose("stop")
    codes = {name: whole.inspect(name, "State.ExitCode") for name in whole.services()}
    assert {name: code for name, code in codes.items() if code != BY_ITS_SIGNAL.get(name, 0)} == {}, codes

    whole.compose("down")
    whole.start()
    assert whole.request("GET", "/api/v1/todos", headers=administrator).json()["items"][0]["title"] == "Buy milk"
    assert counted(whole, administrator) == before, "events were processed again"
    assert [line.split()[-1] for line in positions(whole)] == ["0"] * len(positions(whole))
    assert "created" not in whole.compose("logs", "topics")


def check_order(stack: Stack) -> None:
    """Check that services started after the one-off containers that they depend on had succeeded."""
    for name, service in stack.services().items():
        for awaited, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_completed_successfully":
                assert stack.inspect(awaited, "State.ExitCode") == 0, awaited
                ended, began = stack.inspect(awaited, "State.FinishedAt"), stack.inspect(name, "State.StartedAt")
                assert datetime.fromisoformat(ended) <= datetime.fromisoformat(began), (awaited, name)


def check_keys(stack: Stack) -> None:
    """Check that only the auth service can read the private keys."""
    running = [
        name for name, each in stack.services().items() if "build" in each and stack.inspect(name, "State.Running")
    ]
    said = {name: stack.compose("exec", "-T", name, "python", "-c", SIGNS_TOKENS).strip() for name in running}
    assert said.pop("auth") == "True 0o600"
    assert set(said.values()) == {"no key"}, said


def appoint(stack: Stack) -> Headers:
    """Register a user with the emailed link, and make the user an administrator."""
    newcomer = sign_up(stack.port, stack.emails)
    email = stack.request("GET", f"{AUTH}/me", headers=newcomer).json()["email"]
    accounts = "auth" if stack.door() == "traefik" else "api"
    stack.compose("exec", "-T", accounts, "app", "users", "create-admin", email)
    form = urlencode({"username": email, "password": PASSWORD})
    token = stack.request("POST", f"{AUTH}/token", form).json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


def counted(stack: Stack, administrator: Headers) -> list[dict[str, Any]]:
    """Return the statistics that the consumer has stored."""
    answer = stack.request("GET", "/api/v1/statistics", headers=administrator)
    assert answer.status == 200, answer
    return answer.json()


def positions(stack: Stack) -> list[str]:
    """Return the output lines of `app topics lag`, which end with the lag of a consumer."""
    return stack.compose("exec", "-T", "consumer", "app", "topics", "lag").splitlines()[1:]
