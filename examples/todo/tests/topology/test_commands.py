"""The commands that start a single service."""

import logging
import socket
from collections.abc import Generator

import pytest
import structlog
from typer.testing import CliRunner, Result

from app.cli import app
from tests.conftest import run_in_thread

SERVICES = ["api", "auth", "mailer", "scheduler"]


@pytest.fixture(autouse=True)
def _logging_restored() -> Generator[None]:
    handlers = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = handlers
    structlog.reset_defaults()


def run(*arguments: str) -> Result:
    result: Result = run_in_thread(CliRunner().invoke, app, arguments)
    return result


def test_help_lists_every_service() -> None:
    shown = run("service", "--help").output
    assert all(f" {name} " in shown for name in SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_services_require_kafka(name: str) -> None:
    result = run("service", name)

    assert result.exit_code == 78
    assert result.stderr.startswith("KAFKA_BOOTSTRAP_SERVERS is not set, so `app serve` runs all services")


@pytest.mark.parametrize("name", SERVICES)
def test_port_in_use_is_explained(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092")
    with socket.create_server(("127.0.0.1", 0)) as other:
        result = run("service", name, "--port", str(other.getsockname()[1]))

    assert result.exit_code == 1
    assert "Address already in use" in result.stderr
