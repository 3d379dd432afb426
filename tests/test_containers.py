"""The image is built and the compose file is started for real, on each database.

Needs a Docker engine; without one these tests are skipped. `uv run pytest -m containers` runs them alone.
"""

import json
import secrets
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.matrix.service import ask
from tests.matrix.sign_in import sign_up

Render = Callable[[Mapping[str, object]], Path]


def docker(*arguments: str, folder: Path | None = None) -> str:
    """Run docker and return what it said; what it complained about is the failure."""
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
    """Tell whether no Docker engine answers."""
    return shutil.which("docker") is None or (
        subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0
    )


pytestmark = [
    pytest.mark.containers,
    pytest.mark.skipif(engine_missing(), reason="no Docker engine answers `docker info` on this machine"),
]


@cache
def build_options() -> dict[str, Any]:
    """Return what a build needs beyond the project's own compose file: on an ordinary engine, nothing.

    An engine without the default network is a sealed-off one: its builds use the machine's network, and it cannot
    fetch the pinned uv, so it takes the one it has.
    """
    networks = docker("network", "ls", "--format", "{{.Name}}").split()
    return {} if "bridge" in networks else {"network": "host", "args": {"UV_VERSION": "latest"}}


@dataclass(frozen=True)
class Stack:
    """One rendered project under compose, apart from every other: own name, own port, own images."""

    folder: Path
    name: str
    port: int

    def compose(self, *arguments: str) -> str:
        """Run docker compose on this stack."""
        return docker("compose", "--project-name", self.name, "--file", "stack.yml", *arguments, folder=self.folder)

    def define(self, change: Callable[[dict[str, Any]], None] | None = None) -> None:
        """Write stack.yml: the project's compose file on this stack's port, with `change` done to what is built here."""
        stack = yaml.safe_load((self.folder / "docker-compose.yml").read_text(encoding="utf-8"))
        for service in (service for service in stack["services"].values() if "build" in service):
            service["build"] = {"context": service["build"], **build_options()}
            if change is not None:
                change(service)
        stack["services"]["api"]["ports"] = [f"127.0.0.1:{self.port}:8000"]
        (self.folder / "stack.yml").write_text(yaml.safe_dump(stack), encoding="utf-8")

    def start(self) -> None:
        """Build, migrate, start, and wait until the service is healthy."""
        self.compose("up", "--build", "--detach", "--wait", "--wait-timeout", "120")

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> int:
        """Return the status of an answer."""
        return ask(HTTPConnection("127.0.0.1", self.port, timeout=10), "GET", path, headers=headers).status

    def container(self) -> str:
        """Return the id of the api container."""
        return self.compose("ps", "--all", "--quiet", "api").strip()

    def logs(self) -> list[str]:
        """Return the lines the api container wrote, without what compose adds to them."""
        return docker("logs", self.container()).splitlines()

    def terminal(self) -> str:
        """Return what all containers have written."""
        return self.compose("logs", "--no-log-prefix")

    def api(self, what: str) -> Any:
        """Return a part of what the engine knows about the api container."""
        return json.loads(docker("inspect", "--format", f"{{{{json .{what}}}}}", self.container()))


PROJECTS = {"sqlite": {}, "postgres-workers": {"database": "postgres", "workers": True}}


@pytest.fixture(params=PROJECTS)
def stack(request: pytest.FixtureRequest, render: Render, tmp_path: Path) -> Iterator[Stack]:
    """A project that may be changed and started; nothing of it is left afterwards."""
    folder = shutil.copytree(render(PROJECTS[request.param]), tmp_path / "project")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        stack = Stack(folder, f"test-{uuid.uuid4().hex[:12]}", free.getsockname()[1])
    stack.define()
    try:
        yield stack
    finally:
        stack.compose("down", "--volumes", "--rmi", "local", "--timeout", "1")


def produce(service: dict[str, Any]) -> None:
    """Turn a service for development into one for production: the image's own code and settings."""
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
    """Tell whether something comes true in time."""
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
    assert wait_for(lambda: any("detected changes" in line for line in stack.logs()), seconds=20)
    assert wait_for(lambda: stack.get("/health/ready") == 200, seconds=20)


def test_production_runs_locked_down_and_stops_in_time(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_PASSWORD", "a-real-one")
    stack.define(produce)
    stack.start()

    assert stack.get("/health/ready") == 200
    assert stack.api("HostConfig.ReadonlyRootfs") is True
    assert stack.api("HostConfig.CapDrop") == ["ALL"]
    assert stack.compose("exec", "-T", "api", "id", "-u").strip() == "10001"

    began = time.monotonic()
    stack.compose("stop", "api")
    assert time.monotonic() - began < 10
    assert stack.api("State.ExitCode") == 0
    assert all("event" in json.loads(line) for line in stack.logs()), "production logs one JSON object a line"


def test_image_holds_what_production_needs_and_no_more(stack: Stack) -> None:
    stack.compose("build", "api")
    python = (
        "import importlib.util as u, os, shutil;"
        "print([m for m in ('pytest', 'ruff', 'mkdocs') if u.find_spec(m)], shutil.which('uv'),"
        " sorted(set(os.listdir()) - {'.venv'}), os.access('app', os.W_OK))"
    )
    said = stack.compose("run", "--rm", "--no-deps", "--no-TTY", "api", "python", "-c", python)
    assert said.splitlines()[-1] == "[] None ['alembic', 'alembic.ini', 'app', 'pyproject.toml'] False"
