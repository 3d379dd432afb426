"""The health check of Kafka."""

import pytest

from app.messaging.health import KafkaHealth
from app.messaging.settings import KafkaConfig
from app.outbox.poller import DestinationUnavailable


async def test_ping_succeeds_if_kafka_is_reachable(kafka: KafkaConfig) -> None:
    health = KafkaHealth(kafka)
    await health.ping()
    await health.ping()


async def test_ping_reports_unavailable_kafka() -> None:
    with pytest.raises(DestinationUnavailable, match=r"Kafka is unavailable: "):
        await KafkaHealth({"bootstrap.servers": "127.0.0.1:1"}).ping()
