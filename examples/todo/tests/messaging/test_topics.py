"""Topics: checked before a start, and created as contracts declare them; and the lag of consumers.

`test_commands.py` tests the output of the commands.
"""

from dataclasses import replace
from datetime import timedelta
from typing import cast
from uuid import uuid4

import pytest
from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from app.messaging import topics
from app.messaging.contracts import Topic
from app.messaging.settings import KafkaConfig
from app.messaging.topics import create_topics, missing_topics, underpartitioned
from app.outbox.poller import DestinationUnavailable
from tests.messaging.conftest import KAFKA_SERVERS, RecordingAdminClient
from tests.waiting import TIMEOUT_SECONDS

COMPACTED = Topic("test-compacted", partitions=2, retention=timedelta(hours=1), compacted=True)


def test_missing_topics_are_found(kafka: KafkaConfig, topic: Topic) -> None:
    absent = Topic("test-absent")
    assert missing_topics(kafka, [absent, topic]) == [absent]


def test_too_few_partitions_are_found(kafka: KafkaConfig, topic: Topic) -> None:
    wide = replace(topic, partitions=5)
    assert underpartitioned(kafka, [Topic("test-absent"), topic, wide]) == {wide: 4}


@pytest.mark.usefixtures("short_kafka_timeout")
def test_unavailable_kafka_is_reported() -> None:
    with pytest.raises(DestinationUnavailable, match="Kafka is unavailable: "):
        missing_topics({"bootstrap.servers": "127.0.0.1:1", "log_level": 0}, [COMPACTED])


def test_topics_are_created_as_declared(kafka: KafkaConfig, recording_admin_client: type[RecordingAdminClient]) -> None:
    create_topics(kafka, [Topic("test-plain"), COMPACTED], replicas=3)

    [plain, compacted] = recording_admin_client.requested_topics
    assert (plain.topic, plain.num_partitions, plain.replication_factor) == ("test-plain", 6, 3)
    assert plain.config == {"retention.ms": "604800000", "cleanup.policy": "delete"}
    assert (compacted.topic, compacted.num_partitions) == ("test-compacted", 2)
    assert compacted.config == {"retention.ms": "3600000", "cleanup.policy": "compact"}


def test_empty_list_creates_nothing(kafka: KafkaConfig) -> None:
    create_topics(kafka, [], replicas=3)


def test_error_of_kafka_is_reported(kafka: KafkaConfig, recording_admin_client: type[RecordingAdminClient]) -> None:
    recording_admin_client.error = KafkaException(KafkaError(KafkaError.POLICY_VIOLATION, "no"))
    with pytest.raises(DestinationUnavailable, match="Kafka cannot create the topic test-compacted: no"):
        create_topics(kafka, [COMPACTED], replicas=1)


def test_existing_topic_is_not_changed(kafka: KafkaConfig, recording_admin_client: type[RecordingAdminClient]) -> None:
    recording_admin_client.error = KafkaException(KafkaError(KafkaError.TOPIC_ALREADY_EXISTS, "it exists"))
    create_topics(kafka, [COMPACTED, Topic("test-plain")], replicas=1)

    assert len(recording_admin_client.requested_topics) == 2


@pytest.mark.skipif(KAFKA_SERVERS is None, reason="the in-process broker has no admin API: set KAFKA_BOOTSTRAP_SERVERS")
def test_real_kafka_creates_topics(kafka: KafkaConfig) -> None:
    topic = Topic(f"test-{uuid4().hex}", partitions=2, retention=timedelta(hours=1), compacted=True)
    create_topics(kafka, [topic], replicas=1)
    try:
        admin = AdminClient(kafka)
        assert missing_topics(kafka, [topic]) == []
        assert len(admin.list_topics(topic.name).topics[topic.name].partitions) == 2
        resource = ConfigResource(ResourceType.TOPIC, topic.name)
        config = admin.describe_configs([resource])[resource].result()
        assert (config["retention.ms"].value, config["cleanup.policy"].value) == ("3600000", "compact")
        create_topics(kafka, [topic], replicas=1)  # they exist now
        create_topics(kafka, [], replicas=1)
    finally:
        admin.delete_topics([topic.name])[topic.name].result()


class FailingOffsetClient:
    """A client that raises errors with these codes before it returns positions."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        if self.codes:
            raise KafkaException(KafkaError(self.codes.pop(0)))
        return partitions


def read_offsets(*codes: int, timeout_seconds: float = TIMEOUT_SECONDS) -> list[TopicPartition]:
    reader = cast("KafkaConsumer", FailingOffsetClient(*codes))
    return topics._committed(reader, [TopicPartition("users", 0)], timeout_seconds, retry_seconds=0)


def test_transient_errors_are_retried() -> None:
    assert len(read_offsets(KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE)) == 1


def test_permanent_errors_are_raised() -> None:
    with pytest.raises(KafkaException):
        read_offsets(KafkaError.GROUP_AUTHORIZATION_FAILED)


def test_retries_end_at_timeout() -> None:
    with pytest.raises(KafkaException):
        read_offsets(KafkaError.NOT_COORDINATOR, timeout_seconds=-1)
