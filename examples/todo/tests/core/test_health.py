"""Health endpoints."""

import asyncio

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app import __version__
from app.core import health
from app.core.runtime import Runtime, runtime_of
from tests.waiting import TIMEOUT_SECONDS, wait_until, wait_until_ready


class Absent:
    """A type that no feature stores."""


async def test_healthy_service_is_live_and_ready(client: AsyncClient) -> None:
    assert (await client.get("/health/live")).json() == {"status": "ok"}
    await wait_until_ready(client)
    for path in ("/health", "/health/ready"):
        response = await client.get(path)
        assert response.status_code == 200
        assert response.json() == {"status": "ok", "version": __version__, "checks": {"database": "ok"}}


async def test_failed_check_is_named_without_its_reason(app: FastAPI, client: AsyncClient) -> None:
    async def failing_check(_: Runtime) -> None:
        raise ConnectionError("db.internal:5432")

    runtime_of(app).add_check("broker", failing_check)
    response = await client.get("/health/ready")

    assert response.status_code == 503
    assert response.json()["checks"] == {"database": "ok", "broker": "unavailable"}
    assert "db.internal" not in response.text
    assert (await client.get("/health/live")).status_code == 200


@pytest.mark.parametrize("fails", [True, False])
async def test_hanging_check_times_out(app: FastAPI, client: AsyncClient, fails: bool) -> None:
    may_end, ended = asyncio.Event(), asyncio.Event()

    async def hanging_check(_: Runtime) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await may_end.wait()
            ended.set()
            assert not fails

    runtime_of(app).add_check("broker", hanging_check, timeout_seconds=0.01)
    async with asyncio.timeout(TIMEOUT_SECONDS):
        assert (await client.get("/health")).json()["checks"]["broker"] == "unavailable"
    assert not ended.is_set()

    may_end.set()
    await wait_until(lambda: not health._abandoned_checks)
    assert ended.is_set()


def test_two_checks_with_one_name_are_rejected(app: FastAPI) -> None:
    with pytest.raises(ValueError, match="A health check with the name 'database' is already registered"):
        runtime_of(app).add_check("database", runtime_of(app).health_checks["database"][0])


def test_missing_object_is_explained(app: FastAPI) -> None:
    with pytest.raises(LookupError, match=r"No Absent is available: its feature must be in app/features\.py"):
        runtime_of(app)[Absent]


async def test_stopping_service_is_not_ready(app: FastAPI, client: AsyncClient) -> None:
    runtime_of(app).draining = True
    response = await client.get("/health/ready")

    assert (response.status_code, response.json()["status"]) == (503, "unavailable")


async def test_app_without_checks_is_ready(app: FastAPI, client: AsyncClient) -> None:
    runtime_of(app).health_checks.clear()

    assert (await client.get("/health/ready")).json()["checks"] == {}
