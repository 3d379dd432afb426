"""The worker and scheduler processes."""

from collections.abc import Callable

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient

from app import tasks


@pytest.mark.parametrize("create", [tasks.create_worker, tasks.create_scheduler])
async def test_background_process_serves_only_health_endpoints(
    create: Callable[[], FastAPI], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://localhost")
    async with AsyncClient(transport=ASGITransport(create()), base_url="http://test") as client:
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("/api/v1/users")).status_code == 404
