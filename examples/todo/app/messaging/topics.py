"""Creates and checks the topics that contracts declare."""

from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from app.core.config import ConfigurationError
from app.messaging import contracts
from app.messaging.contracts import Topic
from app.messaging.settings import KafkaConfig
from app.outbox.poller import DestinationUnavailable

TIMEOUT_SECONDS = 10


def missing_topics(client: KafkaConfig, topics: Iterable[Topic]) -> list[Topic]:
    """Return the topics that do not exist.

    Raises:
        DestinationUnavailable: If Kafka cannot be reached.
    """
    known = _partitions(client)
    return [topic for topic in topics if topic.name not in known]


def underpartitioned(client: KafkaConfig, topics: Iterable[Topic]) -> dict[Topic, int]:
    """Return the topics with fewer partitions than declared, and the numbers they have.

    Raises:
        DestinationUnavailable: If Kafka cannot be reached.
    """
    known = _partitions(client)
    return {topic: has for topic in topics if (has := known.get(topic.name, topic.partitions)) < topic.partitions}


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
    wanted = [
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
    if not wanted:
        return
    admin = AdminClient(client)  # keep a reference: without it, the results never arrive
    for name, created in admin.create_topics(wanted, request_timeout=TIMEOUT_SECONDS).items():
        try:
            created.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise DestinationUnavailable(f"Kafka cannot create the topic {name}: {error.args[0].str()}") from error


def _partitions(client: KafkaConfig) -> dict[str, int]:
    try:
        known = AdminClient(client).list_topics(timeout=TIMEOUT_SECONDS).topics
    except KafkaException as error:
        raise DestinationUnavailable(f"Kafka is unavailable: {error.args[0].str()}") from error
    return {name: len(found.partitions) for name, found in known.items()}
