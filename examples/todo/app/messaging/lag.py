"""Consumer lag."""

import time
from collections.abc import Iterator
from contextlib import closing

from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from app.messaging import topics
from app.messaging.consumers import Consumer
from app.messaging.settings import KafkaConfig
from app.outbox.poller import DestinationUnavailable

RETRY_INTERVAL_SECONDS = 0.2
# Kafka is unavailable or restarting, so it is worth asking again.
TRANSIENT_ERRORS = {
    KafkaError._TRANSPORT,  # noqa: SLF001 - librdkafka's names
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
    KafkaError._TIMED_OUT,  # noqa: SLF001
    KafkaError._WAIT_COORD,  # noqa: SLF001
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.REQUEST_TIMED_OUT,
}


def lag(client: KafkaConfig, consumer: Consumer) -> dict[str, int]:
    """Return the number of unprocessed messages of a consumer, by topic.

    Raises:
        DestinationUnavailable: If Kafka cannot be reached.
    """
    with closing(KafkaConsumer(client | {"group.id": consumer.group, "enable.auto.commit": False})) as reader:
        try:
            return {topic.name: sum(_partition_lags(reader, topic.name)) for topic in consumer.topics}
        except KafkaException as error:
            raise DestinationUnavailable(f"Kafka is unavailable: {error.args[0].str()}") from error


def _partition_lags(reader: KafkaConsumer, topic: str) -> Iterator[int]:
    known = reader.list_topics(topic, timeout=topics.TIMEOUT_SECONDS).topics[topic].partitions
    partitions = [TopicPartition(topic, number) for number in known]
    for each in _committed(reader, partitions, topics.TIMEOUT_SECONDS):
        first, end = reader.get_watermark_offsets(each, timeout=topics.TIMEOUT_SECONDS)
        yield end - max(first, each.offset)  # a missing position is negative, and deleted messages do not count


def _committed(
    reader: KafkaConsumer,
    partitions: list[TopicPartition],
    timeout_seconds: float,
    again_seconds: float = RETRY_INTERVAL_SECONDS,
) -> list[TopicPartition]:
    """Fetch the positions. A new Kafka elects their coordinator only now, and responds with errors until then."""
    until = time.monotonic() + timeout_seconds
    while True:
        try:
            return reader.committed(partitions, timeout=timeout_seconds)
        except KafkaException as error:
            if error.args[0].code() not in TRANSIENT_ERRORS or time.monotonic() > until:
                raise
            time.sleep(again_seconds)
