"""An in-process Kafka broker, for development and tests. It stores nothing on disk.

This is the mock cluster that librdkafka includes for its own tests. It speaks the Kafka protocol,
without the admin API and transactions.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager

import structlog
from confluent_kafka import Producer

from app.messaging.contracts import Topic

logger = structlog.get_logger(__name__)


@contextmanager
def broker(topics: Iterable[Topic]) -> Generator[str]:
    """Run a broker with these topics during the block, and yield its address."""
    host = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 2})
    [found] = host.list_topics(timeout=10).brokers.values()
    address = f"{found.host}:{found.port}"
    for topic in topics:
        host.list_topics(topic.name, timeout=10)  # creates the topic
    logger.info("development Kafka broker started", address=address)
    yield address
    host.purge()
