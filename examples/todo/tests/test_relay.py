"""The relay process."""

from importlib.util import find_spec
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient

from app.core.config import ConfigurationError, EnvSettings
from app.main import create_app
from app.relay import create_relay
from tests.conftest import settings_variables

# The destinations that a project may have.
SERVERS = {"REDIS_URL": "redis://localhost", "KAFKA_BOOTSTRAP_SERVERS": "localhost:9092"}


@pytest.mark.parametrize("name", sorted(SERVERS.keys() & settings_variables(EnvSettings)))
async def test_relay_process_serves_only_health_endpoints(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, SERVERS[name])
    if find_spec("app.messaging"):
        monkeypatch.setattr("app.messaging.topics.TIMEOUT_SECONDS", 0.1)  # there is no server
    app = create_relay()
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("/api/v1/users")).status_code == 404
    assert len(app.state.relays) == 1


def test_relay_without_destinations_is_rejected() -> None:
    with pytest.raises(ConfigurationError, match=r"No destination is configured\. In development, the API process"):
        create_relay()


def test_relay_checks_destinations_at_startup(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: FastAPI) -> None:
        raise ConfigurationError("The destination is not ready.")

    def create(**given: Any) -> FastAPI:
        app = create_app(**given)
        app.state.relays.append(None)
        app.state.relay_checks.append(refuse)
        return app

    monkeypatch.setattr("app.relay.create_app", create)
    with pytest.raises(ConfigurationError, match="The destination is not ready"):
        create_relay()
