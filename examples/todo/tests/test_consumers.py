"""The consumer process."""

import pytest
from httpx2 import ASGITransport, AsyncClient

from app.consumers import create_consumer


async def test_consumer_process_serves_only_health_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092")
    async with AsyncClient(transport=ASGITransport(create_consumer()), base_url="http://test") as client:
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("/api/v1/users")).status_code == 404


def test_unknown_consumer_is_rejected() -> None:
    with pytest.raises(LookupError, match="unknown"):
        create_consumer("statistics", "unknown")
