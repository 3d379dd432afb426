"""With several services, only one signs tokens; the others verify them."""

from collections.abc import AsyncGenerator
from pathlib import Path
from uuid import uuid4

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient

from app.core.config import ConfigurationError
from app.core.runtime import runtime_of
from app.db.session import Database
from app.jwt.keys import NoSigningKey, dump_keys, dump_public_keys, generate
from app.jwt.settings import new_secret_key
from app.main import create_app
from app.processes import create
from tests.messaging.conftest import short_kafka_timeout
from tests.modules.token.credentials import credentials

__all__ = ["short_kafka_timeout"]

STATISTICS = "/api/v1/statistics"  # for administrators; other users get 403


@pytest.fixture(autouse=True)
def _unreachable_servers(short_kafka_timeout: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unreachable servers, which are enough to create the applications."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")


@pytest.fixture
def signing_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """The service with the private keys."""
    keys = generate()
    (tmp_path / "keys.json").write_text(dump_keys(keys), "utf-8")
    (tmp_path / "public.json").write_text(dump_public_keys(keys), "utf-8")
    with monkeypatch.context() as patch:
        patch.setenv("JWT_KEYS_FILE", str(tmp_path / "keys.json"))
        return create("auth")


@pytest.fixture
def verifying_service(
    signing_service: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: Database
) -> FastAPI:
    """A service with the public keys."""
    with monkeypatch.context() as patch:
        patch.setenv("JWT_PUBLIC_KEYS_FILE", str(tmp_path / "public.json"))
        app = create("api")
    runtime_of(app)[Database] = database
    return app


@pytest.fixture
async def client(verifying_service: FastAPI) -> AsyncGenerator[AsyncClient]:
    async with AsyncClient(transport=ASGITransport(verifying_service), base_url="http://test") as client:
        yield client


async def test_other_service_accepts_the_token(signing_service: FastAPI, client: AsyncClient) -> None:
    response = await client.get(STATISTICS, headers=await credentials(signing_service, uuid4()))
    assert response.status_code == 403, "expected a signed-in user who is not an administrator"


async def test_token_signed_with_other_keys_is_rejected(
    client: AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "others.json").write_text(dump_keys(generate()), "utf-8")
    for name, value in (("JWT_KEYS_FILE", str(tmp_path / "others.json")), ("JWT_SECRET_KEY", new_secret_key())):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            other_service = create("auth")
        assert (await client.get(STATISTICS, headers=await credentials(other_service, uuid4()))).status_code == 401


async def test_other_service_cannot_sign(verifying_service: FastAPI) -> None:
    with pytest.raises(NoSigningKey, match="Only a process with JWT_KEYS_FILE can sign tokens"):
        await credentials(verifying_service, uuid4())


def test_production_rejects_a_shared_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # without the .env of the developer
    monkeypatch.setenv("ENV", "prod")
    monkeypatch.setenv("AUTH_APP_URL", "https://app.example.com")
    monkeypatch.setenv("JWT_SECRET_KEY", new_secret_key())

    with pytest.raises(ConfigurationError, match="JWT_SECRET_KEY: is not allowed, since every service could sign"):
        create_app()
