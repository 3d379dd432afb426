"""The process that does events: the app without its routes, and with every module's contracts and consumers."""

import pytest
from httpx2 import ASGITransport, AsyncClient

from app.consumers import create_consumer


async def test_a_consumer_answers_for_its_health_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092")
    async with AsyncClient(transport=ASGITransport(create_consumer()), base_url="http://test") as client:
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("/api/v1/users")).status_code == 404


def test_a_consumer_that_is_not_known_is_named() -> None:
    with pytest.raises(LookupError, match="There is no consumer nobody"):
        create_consumer("statistics", "nobody")
