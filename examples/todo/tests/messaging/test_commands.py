"""The `topics` commands."""

from dataclasses import replace

import pytest
from confluent_kafka import KafkaError, KafkaException

from app.messaging import commands, contracts
from app.messaging.contracts import Topic
from app.messaging.settings import KafkaConfig
from tests.command_line import run_command
from tests.messaging.conftest import (
    Administered,
    RecordingConsumer,
    declare,
    make_message_bytes,
    provide_topics,
    send_messages,
)

ALL = [("topics", "lag"), ("topics", "create"), ("topics", "check")]


@pytest.fixture
def _a_kafka(monkeypatch: pytest.MonkeyPatch, kafka: KafkaConfig) -> None:
    """A Kafka without the topics of the service."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", str(kafka["bootstrap.servers"]))


@pytest.mark.parametrize("command", ALL)
def test_without_kafka_command_is_rejected(command: tuple[str, ...]) -> None:
    result = run_command(*command)

    assert result.exit_code == 78
    assert result.stderr == "This command needs a Kafka server. Set KAFKA_BOOTSTRAP_SERVERS.\n"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("command", ALL)
def test_unavailable_kafka_is_reported(command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    result = run_command(*command)

    assert result.exit_code == 1
    assert "Kafka is unavailable: " in result.stderr
    assert result.stderr.endswith("Check KAFKA_BOOTSTRAP_SERVERS, and whether its servers are running.\n")
    assert "Traceback" not in result.output


@pytest.mark.usefixtures("_a_kafka")
@pytest.mark.parametrize("command", [("run", "consumer"), ("run", "relay"), ("topics", "check")])
def test_missing_topics_are_named(command: tuple[str, ...]) -> None:
    declare(Topic("test-absent"), Topic("test-gone"))
    result = run_command(*command)

    assert result.exit_code == 78
    assert result.stderr == "Missing Kafka topics: test-absent, test-gone.\nCreate them: app topics create\n"


@pytest.mark.usefixtures("_a_kafka")
def test_lag_is_shown(kafka: KafkaConfig, topic: Topic, recording_consumer: RecordingConsumer) -> None:
    send_messages(kafka, topic, *(make_message_bytes(f"key-{number}", number) for number in range(7)))
    provide_topics(kafka, *contracts.all_topics())
    shown = run_command("topics", "lag").output.splitlines()

    assert shown[0].split() == ["consumer", "topic", "behind"]
    assert [recording_consumer.consumer.name, topic.name, "7"] in [line.split() for line in shown]


@pytest.mark.usefixtures("impatient")
def test_kafka_failure_during_list_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "ensure_topics_exist", lambda _: None)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    result = run_command("topics", "lag")

    assert result.exit_code == 1
    assert result.stderr.startswith("Kafka is unavailable: ")


@pytest.mark.usefixtures("_a_kafka")
def test_existing_topics_are_not_changed(topic: Topic) -> None:
    declare(topic)

    for command in ("check", "create"):
        result = run_command("topics", command)
        assert (result.exit_code, result.output) == (0, "all topics exist\n")


@pytest.mark.usefixtures("_a_kafka")
def test_too_few_partitions_are_reported(topic: Topic) -> None:
    declare(replace(topic, partitions=9))
    result = run_command("topics", "check")

    assert result.exit_code == 78
    assert result.stderr.startswith(f"Too few partitions: {topic.name} has 4 of 9 partitions.\n")


@pytest.mark.usefixtures("_a_kafka")
def test_missing_topics_are_created(topic: Topic, administered: type[Administered]) -> None:
    absent = Topic("test-absent", partitions=3)
    declare(absent, topic)
    result = run_command("topics", "create", "--replicas", "1")

    assert (result.exit_code, result.output) == (0, "created: test-absent, 3 partitions, retention 7 days\n")
    [created] = administered.wanted
    assert (created.topic, created.num_partitions, created.replication_factor) == ("test-absent", 3, 1)


@pytest.mark.usefixtures("_a_kafka")
def test_topics_of_other_services_are_not_created() -> None:
    declare(Topic("test-absent", owned=False))

    assert run_command("topics", "create").output == "all topics exist\n"
    assert run_command("topics", "check").stderr.startswith("Missing Kafka topics: test-absent (of another service).\n")


@pytest.mark.usefixtures("_a_kafka")
def test_error_of_kafka_is_reported(administered: type[Administered]) -> None:
    reason = "Replication factor is 3 but there is 1 server"
    administered.refusal = KafkaException(KafkaError(KafkaError.INVALID_REPLICATION_FACTOR, reason))
    declare(Topic("test-absent"))
    result = run_command("topics", "create")

    assert result.exit_code == 1
    assert result.stderr.startswith("Kafka cannot create the topic test-absent: Replication factor is 3")


@pytest.mark.parametrize("command", ALL)
def test_invalid_settings_are_reported_without_values(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "hunter2")
    result = run_command(*command)

    assert result.exit_code == 78
    assert "KAFKA_PASSWORD: has no effect" in result.stderr
    assert "hunter2" not in result.output
