"""A broker in this process, for development and tests: nothing to install, nothing to start, nothing kept.

It is the one that librdkafka brings to test itself with, so it speaks Kafka's own protocol.
It knows no administration and no transactions.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager

import structlog
from confluent_kafka import Producer

from app.events.contracts import Topic

logger = structlog.get_logger(__name__)


@contextmanager
def broker(topics: Iterable[Topic]) -> Generator[str]:
    """Run a broker with some topics while the block runs, and return its address."""
    host = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 2})
    [found] = host.list_topics(timeout=10).brokers.values()
    address = f"{found.host}:{found.port}"
    for topic in topics:
        host.list_topics(topic.name, timeout=10)  # to ask for it is to create it there
    logger.info("Kafka for development is running", address=address)
    yield address
    host.purge()
