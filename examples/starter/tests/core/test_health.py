"""Health: alive, ready, and which part is not."""

import asyncio

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app import __version__
from app.core import health


async def test_a_healthy_service_is_alive_and_ready(client: AsyncClient) -> None:
    assert (await client.get("/health/live")).json() == {"status": "ok"}
    for path in ("/health", "/health/ready"):
        answer = await client.get(path)
        assert answer.status_code == 200
        assert answer.json() == {"status": "ok", "version": __version__, "checks": {"database": "ok"}}


async def test_a_failing_part_is_named_and_its_reason_is_not(app: FastAPI, client: AsyncClient) -> None:
    async def broken(_: FastAPI) -> None:
        raise ConnectionError("db.internal:5432")

    health.add_check(app, "broker", broken)
    answer = await client.get("/health/ready")

    assert answer.status_code == 503
    assert answer.json()["checks"] == {"database": "ok", "broker": "unavailable"}
    assert "db.internal" not in answer.text
    assert (await client.get("/health/live")).status_code == 200


@pytest.mark.parametrize("outcome", [0, 1.5])
async def test_a_part_that_hangs_is_not_waited_for(
    app: FastAPI, client: AsyncClient, monkeypatch: pytest.MonkeyPatch, outcome: float
) -> None:
    async def hanging(_: FastAPI) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(outcome)
            assert outcome

    monkeypatch.setattr(health, "CHECK_TIMEOUT_SECONDS", 0.01)
    app.state.health_checks.clear()  # the database's own check is not to be cut off
    health.add_check(app, "broker", hanging)

    async with asyncio.timeout(1):
        assert (await client.get("/health")).json()["checks"]["broker"] == "unavailable"
    await asyncio.sleep(1.1 * outcome)


async def test_a_stopping_service_is_not_ready(app: FastAPI, client: AsyncClient) -> None:
    app.state.stopping.set()
    answer = await client.get("/health/ready")

    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")


async def test_an_app_without_dependencies_is_ready(app: FastAPI, client: AsyncClient) -> None:
    app.state.health_checks.clear()

    assert (await client.get("/health/ready")).json()["checks"] == {}
