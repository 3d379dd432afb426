"""Creates and checks the topics that contracts declare, and shows how far consumers lag behind."""

import time
from collections.abc import Iterable, Iterator
from contextlib import closing

from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from app.core.config import ConfigurationError
from app.messaging import contracts
from app.messaging.consumers import Consumer
from app.messaging.contracts import Topic
from app.messaging.settings import KafkaConfig
from app.outbox.poller import DestinationUnavailable

TIMEOUT_SECONDS = 10
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


def missing_topics(client: KafkaConfig, topics: Iterable[Topic]) -> list[Topic]:
    """Return the topics that do not exist.

    Raises:
        DestinationUnavailable: If Kafka cannot be reached.
    """
    existing = _partitions(client)
    return [topic for topic in topics if topic.name not in existing]


def underpartitioned(client: KafkaConfig, topics: Iterable[Topic]) -> dict[Topic, int]:
    """Return the topics with fewer partitions than declared, and the numbers they have.

    Raises:
        DestinationUnavailable: If Kafka cannot be reached.
    """
    actual = _partitions(client)
    return {topic: has for topic in topics if (has := actual.get(topic.name, topic.partitions)) < topic.partitions}


def ensure_topics_exist(client: KafkaConfig) -> None:
    """Check that the topics of all contracts exist.

    Raises:
        ConfigurationError: If one is missing.
        DestinationUnavailable: If Kafka cannot be reached.
    """
    if absent := missing_topics(client, contracts.all_topics()):
        names = ", ".join(topic.name if topic.owned else f"{topic.name} (of another service)" for topic in absent)
        raise ConfigurationError(f"Missing Kafka topics: {names}.\nCreate them: app topics create")


def create_topics(client: KafkaConfig, topics: Iterable[Topic], replicas: int) -> None:
    """Create topics. Topics that exist already are left unchanged.

    Raises:
        DestinationUnavailable: If Kafka reports an error.
    """
    new_topics = [
        NewTopic(
            topic.name,
            num_partitions=topic.partitions,
            replication_factor=replicas,
            config={
                "retention.ms": str(round(topic.retention.total_seconds() * 1000)),
                "cleanup.policy": "compact" if topic.compacted else "delete",
            },
        )
        for topic in topics
    ]
    if not new_topics:
        return
    admin = AdminClient(client)  # keep a reference: without it, the results never arrive
    for name, created in admin.create_topics(new_topics, request_timeout=TIMEOUT_SECONDS).items():
        try:
            created.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise DestinationUnavailable(f"Kafka cannot create the topic {name}: {error.args[0].str()}") from error


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


def _partitions(client: KafkaConfig) -> dict[str, int]:
    try:
        topics = AdminClient(client).list_topics(timeout=TIMEOUT_SECONDS).topics
    except KafkaException as error:
        raise DestinationUnavailable(f"Kafka is unavailable: {error.args[0].str()}") from error
    return {name: len(found.partitions) for name, found in topics.items()}


def _partition_lags(reader: KafkaConsumer, topic: str) -> Iterator[int]:
    metadata = reader.list_topics(topic, timeout=TIMEOUT_SECONDS).topics[topic]
    partitions = [TopicPartition(topic, number) for number in metadata.partitions]
    for each in _committed(reader, partitions, TIMEOUT_SECONDS):
        first, end = reader.get_watermark_offsets(each, timeout=TIMEOUT_SECONDS)
        yield end - max(first, each.offset)  # a missing position is negative, and deleted messages do not count


def _committed(
    reader: KafkaConsumer,
    partitions: list[TopicPartition],
    timeout_seconds: float,
    retry_seconds: float = RETRY_INTERVAL_SECONDS,
) -> list[TopicPartition]:
    """Fetch the positions. A new Kafka elects their coordinator only now, and responds with errors until then."""
    until = time.monotonic() + timeout_seconds
    while True:
        try:
            return reader.committed(partitions, timeout=timeout_seconds)
        except KafkaException as error:
            if error.args[0].code() not in TRANSIENT_ERRORS or time.monotonic() > until:
                raise
            time.sleep(retry_seconds)
