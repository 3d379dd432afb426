"""The `topics` commands."""

from dataclasses import replace

import pytest
from confluent_kafka import KafkaError, KafkaException

from app.messaging import commands, contracts
from app.messaging.contracts import Topic
from app.messaging.settings import KafkaConfig
from tests.command_line import run_command
from tests.messaging.conftest import (
    RecordingAdminClient,
    RecordingConsumer,
    declare_topics,
    ensure_topics,
    make_message_bytes,
    send_messages,
)

COMMANDS = [("topics", "lag"), ("topics", "create"), ("topics", "check")]


@pytest.fixture
def _kafka_without_topics(monkeypatch: pytest.MonkeyPatch, kafka: KafkaConfig) -> None:
    """A Kafka without the topics of the service."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", str(kafka["bootstrap.servers"]))


@pytest.mark.parametrize("command", COMMANDS)
def test_without_kafka_command_is_rejected(command: tuple[str, ...]) -> None:
    result = run_command(*command)

    assert result.exit_code == 78
    assert result.stderr == "This command needs a Kafka server. Set KAFKA_BOOTSTRAP_SERVERS.\n"


@pytest.mark.usefixtures("short_kafka_timeout")
@pytest.mark.parametrize("command", COMMANDS)
def test_unavailable_kafka_is_reported(command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    result = run_command(*command)

    assert result.exit_code == 1
    assert "Kafka is unavailable: " in result.stderr
    assert result.stderr.endswith("Check KAFKA_BOOTSTRAP_SERVERS, and whether its servers are running.\n")
    assert "Traceback" not in result.output


@pytest.mark.usefixtures("_kafka_without_topics")
@pytest.mark.parametrize("command", [("run", "consumer"), ("run", "relay"), ("topics", "check")])
def test_missing_topics_are_named(command: tuple[str, ...]) -> None:
    declare_topics(Topic("test-absent"), Topic("test-gone"))
    result = run_command(*command)

    assert result.exit_code == 78
    assert result.stderr == "Missing Kafka topics: test-absent, test-gone.\nCreate them: app topics create\n"


@pytest.mark.usefixtures("_kafka_without_topics")
def test_lag_is_shown(kafka: KafkaConfig, topic: Topic, recording_consumer: RecordingConsumer) -> None:
    send_messages(kafka, topic, *(make_message_bytes(f"key-{number}", number) for number in range(7)))
    ensure_topics(kafka, *contracts.all_topics())
    shown = run_command("topics", "lag").output.splitlines()

    assert shown[0].split() == ["consumer", "topic", "behind"]
    assert [recording_consumer.consumer.name, topic.name, "7"] in [line.split() for line in shown]


@pytest.mark.usefixtures("short_kafka_timeout")
def test_kafka_failure_during_list_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "ensure_topics_exist", lambda _: None)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    result = run_command("topics", "lag")

    assert result.exit_code == 1
    assert result.stderr.startswith("Kafka is unavailable: ")


@pytest.mark.usefixtures("_kafka_without_topics")
def test_existing_topics_are_not_changed(topic: Topic) -> None:
    declare_topics(topic)

    for command in ("check", "create"):
        result = run_command("topics", command)
        assert (result.exit_code, result.output) == (0, "all topics exist\n")


@pytest.mark.usefixtures("_kafka_without_topics")
def test_too_few_partitions_are_reported(topic: Topic) -> None:
    declare_topics(replace(topic, partitions=9))
    result = run_command("topics", "check")

    assert result.exit_code == 78
    assert result.stderr.startswith(f"Too few partitions: {topic.name} has 4 of 9 partitions.\n")


@pytest.mark.usefixtures("_kafka_without_topics")
def test_missing_topics_are_created(topic: Topic, recording_admin_client: type[RecordingAdminClient]) -> None:
    absent = Topic("test-absent", partitions=3)
    declare_topics(absent, topic)
    result = run_command("topics", "create", "--replicas", "1")

    assert (result.exit_code, result.output) == (0, "created: test-absent, 3 partitions, retention 7 days\n")
    [created] = recording_admin_client.requested_topics
    assert (created.topic, created.num_partitions, created.replication_factor) == ("test-absent", 3, 1)


@pytest.mark.usefixtures("_kafka_without_topics")
def test_topics_of_other_services_are_not_created() -> None:
    declare_topics(Topic("test-absent", owned=False))

    assert run_command("topics", "create").output == "all topics exist\n"
    assert run_command("topics", "check").stderr.startswith("Missing Kafka topics: test-absent (of another service).\n")


@pytest.mark.usefixtures("_kafka_without_topics")
def test_error_of_kafka_is_reported(recording_admin_client: type[RecordingAdminClient]) -> None:
    reason = "Replication factor is 3 but there is 1 server"
    recording_admin_client.error = KafkaException(KafkaError(KafkaError.INVALID_REPLICATION_FACTOR, reason))
    declare_topics(Topic("test-absent"))
    result = run_command("topics", "create")

    assert result.exit_code == 1
    assert result.stderr.startswith("Kafka cannot create the topic test-absent: Replication factor is 3")


@pytest.mark.parametrize("command", COMMANDS)
def test_invalid_settings_are_reported_without_values(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "hunter2")
    result = run_command(*command)

    assert result.exit_code == 78
    assert "KAFKA_PASSWORD: has no effect" in result.stderr
    assert "hunter2" not in result.output
