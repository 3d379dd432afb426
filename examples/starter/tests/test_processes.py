"""The processes of the service, and the commands that run them."""

import json
import socket
from importlib.util import find_spec

import pytest
from httpx2 import ASGITransport, AsyncClient
from structlog import get_logger
from typer.testing import Result

from app.core.config import EnvSettings
from app.processes import PROCESSES, create
from tests.command_line import run_command
from tests.conftest import settings_variables
from tests.test_cli import free_port

# The servers that a project may have; nothing answers at these addresses.
UNREACHABLE_SERVERS = {"REDIS_URL": "redis://127.0.0.1:1", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}

each_process = pytest.mark.parametrize("name", sorted(PROCESSES))


@pytest.fixture(autouse=True)
def _short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    if find_spec("app.messaging"):
        monkeypatch.setattr("app.messaging.topics.TIMEOUT_SECONDS", 0.1)  # Kafka's client waits for the whole time


@pytest.fixture
def _unreachable_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, address in UNREACHABLE_SERVERS.items():
        monkeypatch.setenv(name, address)


def run(*arguments: str) -> Result:
    return run_command("run", *arguments)


@each_process
def test_help_describes_process(name: str) -> None:
    assert f" {name} " in run("--help").output
    assert "Exit codes: 0 " in run("--help").output
    assert str(PROCESSES[name].port) in run(name, "--help").output


@each_process
def test_process_without_servers_is_rejected(name: str) -> None:
    result = run(name)

    assert result.exit_code == 78
    assert "is not set: in development, the API process runs" in result.stderr
    assert "Example: " in result.stderr


@pytest.mark.usefixtures("_unreachable_servers")
@each_process
def test_port_in_use_is_reported(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = run(name, "--port", str(port))

    assert result.exit_code == 1
    assert result.stderr.endswith(
        f"Cannot listen on 127.0.0.1, port {port}: Address already in use.\nChoose another, for example --port 8111.\n"
    )


@pytest.mark.usefixtures("_unreachable_servers")
def test_log_lines_have_the_name_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.core.server.run", lambda *_: get_logger().info("serving"))
    result = run("relay", "--port", str(free_port()))

    assert json.loads(result.stderr.splitlines()[-1])["process"] == "relay", result.stderr


@pytest.mark.usefixtures("_unreachable_servers")
def test_unknown_host_is_reported() -> None:
    result = run("relay", "--host", "no-such-host.invalid")

    assert result.exit_code == 1
    assert result.stderr.endswith("Check --host.\n")


@pytest.mark.usefixtures("_unreachable_servers")
@pytest.mark.parametrize("name", [name for name, process in PROCESSES.items() if process.background])
async def test_background_process_serves_only_health_endpoints(name: str) -> None:
    async with AsyncClient(transport=ASGITransport(create(name)), base_url="http://test") as client:
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("/api/v1/users")).status_code == 404


@pytest.mark.parametrize("server", sorted(UNREACHABLE_SERVERS.keys() & settings_variables(EnvSettings)))
def test_relay_starts_with_one_destination(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(server, UNREACHABLE_SERVERS[server])
    assert create("relay")
