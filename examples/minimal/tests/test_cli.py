"""The command-line interface."""

import json
import os
import pickle
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
import typer
import uvicorn
from alembic.script import ScriptDirectory
from sqlalchemy.exc import OperationalError

from app.core import server
from app.core.config import Settings
from app.db import migrations
from app.db.commands import EXIT_CONFIGURATION
from tests.command_line import run_command
from tests.database import create_database
from tests.waiting import TIMEOUT_SECONDS


@pytest.fixture
def working_directory(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory that contains only the migrations."""
    shutil.copytree(project / "alembic", tmp_path / "alembic")
    shutil.copy(project / "alembic.ini", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def use_empty_database(shared_folder: Path, worker_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty database, instead of the one of the tests."""
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("DATABASE_URL", create_database(shared_folder, f"cli_{worker_id}"))


def has_ipv6() -> bool:
    """Return whether an address of this machine is IPv6; some containers have none although the kernel supports it."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return socket.has_dualstack_ipv6()
    except OSError:
        return False


def free_port() -> int:
    """Return a port below the ephemeral range (32768 and up), so that no other program is assigned it."""
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextmanager
def running_server(working_directory: Path, *options: str, **variables: str) -> Generator[str]:
    """Start the server, wait until it is ready, and stop it with SIGTERM."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("app")), "serve", "--port", str(port), *options]
    log = working_directory / "server.log"  # an unread pipe would block the server when it is full
    with (
        log.open("w") as file,
        subprocess.Popen(command, cwd=working_directory, env=os.environ | variables, stderr=file) as server,
    ):
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", server, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=TIMEOUT_SECONDS)
    assert server.returncode == 0, log.read_text()


def wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        with suppress(httpx2.TransportError):
            if httpx2.get(f"{url}/health/ready", timeout=TIMEOUT_SECONDS).status_code == 200:
                return
        time.sleep(0.1)
    pytest.fail(f"The server did not become ready:\n{log.read_text()}")


def test_help_lists_all_commands() -> None:
    for arguments, commands in (
        ((), ("serve", "db", "openapi")),
        (("db",), ("upgrade", "downgrade", "check", "purge")),
    ):
        shown = run_command(*arguments, "--help").output
        assert all(command in shown for command in commands)


def test_serve_stops_on_sigterm(working_directory: Path) -> None:
    with running_server(working_directory) as url:
        response = httpx2.get(f"{url}/openapi.json", timeout=TIMEOUT_SECONDS)
    assert response.status_code == 200


def test_serve_starts_the_database_in_development(working_directory: Path, project: Path) -> None:
    (working_directory / "app").symlink_to(project / "app")

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DATABASE_URL")
        patch.setenv("ENV", "dev")
        for options in ((), ("--reload",)):
            with running_server(working_directory, *options) as url:
                assert httpx2.get(f"{url}/openapi.json", timeout=TIMEOUT_SECONDS).status_code == 200
        assert run_command("db", "check").exit_code == 0
    assert [path.name for path in working_directory.iterdir() if path.name.startswith(".")] == [".data"]


def test_port_in_use_is_explained() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = run_command("serve", "--port", str(port))

    assert result.exit_code == 1
    assert result.output == (
        f"Cannot listen on 127.0.0.1, port {port}: Address already in use.\nChoose another, for example PORT=8001.\n"
    )


@pytest.mark.parametrize("options", [{"reload": True}, {"workers": 2}])
def test_each_server_process_uses_the_same_socket(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    """A second server on the port is rejected, and slow processes are not killed while they start."""
    started: list[tuple[uvicorn.Config, list[socket.socket]]] = []

    class Supervisor:
        def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], target: Any = None) -> None:
            pickle.dumps(config)  # each process receives a copy
            started.append((config, sockets))

        def run(self) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(server, "ChangeReload", Supervisor)
    monkeypatch.setattr(server, "Multiprocess", Supervisor)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with server.listen("127.0.0.1", free_port()) as listening:
        server.run("app.start:create_app", Settings(), listening, **options)

    [(config, sockets)] = started
    assert sockets == [listening]
    assert config.timeout_worker_healthcheck == server.WORKER_RESPONSE_SECONDS > 60


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("client", ["127.0.0.1", "::1"])
def test_unspecified_ipv6_address_accepts_ipv4(client: str) -> None:
    with server.listen("::", port := free_port()), socket.create_connection((client, port)):
        pass
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(typer.Exit):
        server.listen("::", other.getsockname()[1])


@pytest.mark.parametrize("host", ["no-such-host.invalid", "2001:db8::1"])
def test_invalid_host_is_explained(host: str) -> None:
    result = run_command("serve", "--host", host)

    assert result.exit_code == 1
    assert f"Cannot listen on {host}, port 8000: " in result.output
    assert "Check HOST." in result.output


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ENV": "prod", "DATABASE_URL": None}, "DATABASE_URL: must be set"),
        ({"ENV": None, "DATABASE_URL": None}, "ENV is prod unless it is set"),
        ({"DATABASE_URL": "mysql://root:hunter2@localhost/app"}, "DATABASE_URL: mysql is not"),
        ({"DATABASE_URL": "hunter2"}, "DATABASE_URL: is not a URL. Example: "),
        ({"PORT": "eighty"}, "PORT: Input should be a valid integer"),
    ],
)
def test_invalid_settings_are_explained_without_their_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, Any], expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in variables.items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)

    result = run_command("db", "purge")
    assert result.exit_code == EXIT_CONFIGURATION
    assert expected in result.output
    assert "hunter2" not in result.output
    assert "Traceback" not in result.output


def test_unavailable_database_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(revision: str) -> None:
        raise OperationalError("SELECT 1", None, Exception("connection refused\nmore"))

    monkeypatch.setattr(migrations, "upgrade", fail)
    result = run_command("db", "upgrade")

    assert result.exit_code == 1
    assert "Database unavailable: connection refused\nCheck DATABASE_URL" in result.output


def test_database_without_migrations_is_explained(use_empty_database: None) -> None:
    result = run_command("db", "purge")

    assert result.exit_code == 1
    assert "The database rejected a statement: " in result.output
    assert "migrate the database: app db upgrade" in result.output


def test_migrations_upgrade_and_downgrade(use_empty_database: None) -> None:
    behind = run_command("db", "check")
    assert behind.exit_code == 1
    assert "not up to date" in behind.output
    assert 'Run: uv run just migrate-gen "' in behind.output

    assert run_command("db", "upgrade").exit_code == 0
    assert run_command("db", "check").exit_code == 0
    assert run_command("db", "downgrade", "-1").exit_code == 0
    assert run_command("db", "downgrade", "base").exit_code == 0


@pytest.mark.parametrize("command", ["upgrade", "downgrade"])
def test_unknown_revision_is_explained(use_empty_database: None, command: str) -> None:
    result = run_command("db", command, "nothing")

    assert (result.exit_code, result.stderr.splitlines()[-1]) == (1, "There is no revision 'nothing'.")


def test_migration_is_generated_from_the_models(
    use_empty_database: None, working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")  # as in an editor, which starts `.venv/bin/python` without the folder on PATH
    newest = ScriptDirectory.from_config(migrations.config()).get_current_head()
    assert run_command("db", "generate", "nothing new").exit_code == 0

    [written] = (working_directory / "alembic/versions").glob("*_nothing_new.py")
    assert f'down_revision = "{newest}"' in written.read_text(encoding="utf-8")


def test_openapi_document_is_exported(tmp_path: Path) -> None:
    assert run_command("openapi", "export", str(tmp_path / "new/api.json")).exit_code == 0

    assert json.loads((tmp_path / "new/api.json").read_text(encoding="utf-8"))["openapi"].startswith("3.")
