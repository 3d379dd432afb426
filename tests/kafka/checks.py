# ty: ignore[import-not-found]
"""Tests that need a real Kafka. `tests/test_kafka.py` copies them into the tests of a rendered project."""

from collections.abc import Generator
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from app.db.session import Database
from app.messaging import contracts
from app.messaging.contracts import Topic
from app.messaging.settings import KafkaConfig
from app.messaging.subscription import run_consumers
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from tests.command_line import run_command
from tests.messaging.conftest import RecordingConsumer, make_message_bytes
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def _served(kafka: KafkaConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", str(kafka["bootstrap.servers"]))


@pytest.fixture
def declared(kafka: KafkaConfig, monkeypatch: pytest.MonkeyPatch) -> Generator[list[Topic]]:
    """Topics that contracts declare but that do not exist in Kafka yet."""
    name = uuid4().hex
    declared = [
        Topic(f"test-{name}-plain"),
        Topic(f"test-{name}-compacted", partitions=3, retention=timedelta(hours=1), compacted=True),
    ]
    monkeypatch.setattr(contracts, "all_topics", lambda: declared)
    yield declared
    admin = AdminClient(kafka)
    known = admin.list_topics().topics
    if made := [topic.name for topic in declared if topic.name in known]:
        for gone in admin.delete_topics(made).values():
            gone.result()


def test_topics_are_created_as_declared(kafka: KafkaConfig, declared: list[Topic]) -> None:
    first, second = (
        run_command("topics", "create", "--replicas", "1"),
        run_command("topics", "create", "--replicas", "1"),
    )

    assert first.exit_code == 0, first.output
    assert [line.split(",")[0] for line in first.output.splitlines()] == [f"created: {each.name}" for each in declared]
    assert (second.exit_code, second.output) == (0, "all topics exist\n")
    assert run_command("topics", "check").output == "all topics exist\n"
    admin = AdminClient(kafka)
    for topic, policy in zip(declared, ("delete", "compact"), strict=True):
        assert len(admin.list_topics(topic.name).topics[topic.name].partitions) == topic.partitions
        resource = ConfigResource(ResourceType.TOPIC, topic.name)
        config = admin.describe_configs([resource])[resource].result()
        assert int(config["retention.ms"].value) == topic.retention.total_seconds() * 1000
        assert config["cleanup.policy"].value == policy


def test_more_replicas_than_brokers_are_rejected(declared: list[Topic]) -> None:
    refused = run_command("topics", "create")

    assert refused.exit_code == 1
    assert f"Kafka cannot create the topic {declared[0].name}: " in refused.stderr
    assert "replication factor" in refused.stderr.lower()


@pytest.mark.parametrize("command", [("topics", "check"), ("run", "consumer")])
def test_missing_topics_prevent_start(declared: list[Topic], command: tuple[str, ...]) -> None:
    refused = run_command(*command)

    assert refused.exit_code == 78, refused.output
    assert f"Missing Kafka topics: {declared[0].name}, {declared[1].name}." in refused.stderr
    assert "app topics create" in refused.stderr


def test_too_few_partitions_are_reported(declared: list[Topic]) -> None:
    assert run_command("topics", "create", "--replicas", "1").exit_code == 0
    declared[0] = replace(declared[0], partitions=12)
    refused = run_command("topics", "check")

    assert refused.exit_code == 78
    assert f"{declared[0].name} has 6 of 12 partitions" in refused.stderr


async def test_aborted_messages_are_not_consumed(
    empty_database: Database, kafka: KafkaConfig, topic: Topic, recording_consumer: RecordingConsumer
) -> None:
    producer = Producer(kafka | {"transactional.id": f"test-{uuid4().hex}"})
    producer.init_transactions(30)
    for number, kept in enumerate([True, False, True]):
        producer.begin_transaction()
        producer.produce(topic.name, make_message_bytes("ada", number), key="ada")
        producer.flush(30)
        producer.commit_transaction(30) if kept else producer.abort_transaction(30)

    async with run_consumers(empty_database, kafka, [recording_consumer.consumer]):
        await wait_until(lambda: "ada 2" in recording_consumer.handled)
    assert recording_consumer.handled == ["ada 0", "ada 2"]
