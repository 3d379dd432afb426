"""Topics: declared by contracts, created by a command, and looked for before a start."""

from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from app.core.config import ConfigurationError
from app.events import contracts
from app.events.contracts import Topic
from app.events.settings import Client
from app.outbox.relay import Unavailable

TIMEOUT_SECONDS = 10


def missing(client: Client, topics: Iterable[Topic]) -> list[Topic]:
    """List the topics that Kafka does not have.

    Raises:
        Unavailable: If it cannot be reached.
    """
    known = _partitions(client)
    return [topic for topic in topics if topic.name not in known]


def too_narrow(client: Client, topics: Iterable[Topic]) -> dict[Topic, int]:
    """Tell which topics have fewer partitions than they should, and how many these are.

    Raises:
        Unavailable: If Kafka cannot be reached.
    """
    known = _partitions(client)
    return {topic: has for topic in topics if (has := known.get(topic.name, topic.partitions)) < topic.partitions}


def require(client: Client) -> None:
    """Look for the topics of all contracts.

    Raises:
        ConfigurationError: If one is missing.
        Unavailable: If Kafka cannot be reached.
    """
    if absent := missing(client, contracts.topics()):
        names = ", ".join(topic.name if topic.ours else f"{topic.name} (another service's)" for topic in absent)
        raise ConfigurationError(f"Kafka has no topic {names}.\nCreate what is missing: app topics create")


def create(client: Client, topics: Iterable[Topic], replicas: int) -> None:
    """Create topics. One that somebody else creates at the same time is left as it is.

    Raises:
        Unavailable: If Kafka refuses.
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
    admin = AdminClient(client)  # its answers do not come any more once nobody holds it
    for name, created in admin.create_topics(wanted, request_timeout=TIMEOUT_SECONDS).items():
        try:
            created.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise Unavailable(f"Kafka does not create {name}: {error.args[0].str()}") from error


def _partitions(client: Client) -> dict[str, int]:
    try:
        known = AdminClient(client).list_topics(timeout=TIMEOUT_SECONDS).topics
    except KafkaException as error:
        raise Unavailable(f"Kafka does not answer: {error.args[0].str()}") from error
    return {name: len(found.partitions) for name, found in known.items()}
