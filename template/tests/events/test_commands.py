"""Starting what does events, and providing topics."""

import logging
import re
import socket
from collections.abc import Generator
from dataclasses import replace

import pytest
import structlog
from confluent_kafka import KafkaError, KafkaException
from typer.testing import CliRunner, Result

from app.cli import app
from app.events import commands, contracts
from app.events.contracts import Topic
from app.events.settings import Client
from tests.conftest import in_a_thread
from tests.events.conftest import Administered, Seen, declare, message, provide, send

ALL = [("consumer",), ("consumer", "list"), ("topics", "create"), ("topics", "check")]


@pytest.fixture(autouse=True)
def _logging_restored() -> Generator[None]:
    handlers = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = handlers
    structlog.reset_defaults()


@pytest.fixture
def _a_kafka(monkeypatch: pytest.MonkeyPatch, kafka: Client) -> None:
    """A Kafka that has no topics of ours: there is nothing but that of a test."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", str(kafka["bootstrap.servers"]))


def run(*arguments: str) -> Result:
    result: Result = in_a_thread(CliRunner().invoke, app, arguments)
    return result


def test_help_tells_what_it_does_and_how_it_ends() -> None:
    shown = run("consumer", "--help").output

    assert re.search(r"until told to stop\.", shown)
    assert "KAFKA_BOOTSTRAP_SERVERS" in shown
    assert "Exit codes: 0 " in shown
    assert all(command in run("topics", "--help").output for command in ("create", "check"))


@pytest.mark.parametrize("command", ALL)
def test_without_kafka_the_api_does_it(command: tuple[str, ...]) -> None:
    result = run(*command)

    assert result.exit_code == 78
    assert result.stderr.startswith("KAFKA_BOOTSTRAP_SERVERS is not set: in development the API does it all itself")
    assert "Example: kafka-1:9092" in result.stderr


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("command", ALL)
def test_a_kafka_that_is_away_is_told(command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    result = run(*command)

    assert result.exit_code == 1
    assert "Kafka does not answer: " in result.stderr
    assert result.stderr.endswith("Is KAFKA_BOOTSTRAP_SERVERS right, and does its server run?\n")
    assert "Traceback" not in result.output


@pytest.mark.usefixtures("_a_kafka")
@pytest.mark.parametrize("command", [("consumer",), ("topics", "check")])
def test_a_topic_that_is_missing_is_named(command: tuple[str, ...]) -> None:
    declare(Topic("test-absent"), Topic("test-gone"))
    result = run(*command)

    assert result.exit_code == 78
    assert result.stderr == ("Kafka has no topic test-absent, test-gone.\nCreate what is missing: app topics create\n")


@pytest.mark.usefixtures("_a_kafka", "happened")
@pytest.mark.parametrize("process", ["consumer", "relay"])
def test_a_port_in_use_is_explained(kafka: Client, process: str) -> None:
    provide(kafka, *contracts.topics())
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = run(process, "--port", str(port))

    assert result.exit_code == 1
    assert result.stderr == (
        f"Cannot listen on 127.0.0.1, port {port}: Address already in use.\nChoose another, for example --port 8111.\n"
    )


@pytest.mark.usefixtures("_a_kafka")
def test_a_list_tells_how_far_each_is_behind(kafka: Client, topic: Topic, seen: Seen) -> None:
    send(kafka, topic, *(message(f"key-{number}", number) for number in range(7)))
    provide(kafka, *contracts.topics())
    shown = run("consumer", "list").output.splitlines()

    assert shown[0].split() == ["consumer", "topic", "behind"]
    assert [seen.consumer.name, topic.name, "7"] in [line.split() for line in shown]


@pytest.mark.usefixtures("impatient")
def test_a_kafka_that_goes_away_in_between_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "require", lambda _: None)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    result = run("consumer", "list")

    assert result.exit_code == 1
    assert result.stderr.startswith("Kafka does not answer: ")


def test_a_consumer_that_is_not_known_is_refused() -> None:
    result = run("consumer", "--only", "statistics", "--only", "nobody")

    assert result.exit_code == 2
    assert "There is no consumer nobody" in result.stderr


@pytest.mark.usefixtures("_a_kafka")
def test_topics_that_are_there_are_left_alone(topic: Topic) -> None:
    declare(topic)

    for command in ("check", "create"):
        result = run("topics", command)
        assert (result.exit_code, result.output) == (0, "all topics are there\n")


@pytest.mark.usefixtures("_a_kafka")
def test_too_few_partitions_are_told(topic: Topic) -> None:
    declare(replace(topic, partitions=9))
    result = run("topics", "check")

    assert result.exit_code == 78
    assert result.stderr.startswith(f"Too few partitions: {topic.name} has 4 of 9 partitions.\n")


@pytest.mark.usefixtures("_a_kafka")
def test_topics_that_are_missing_are_created(administered: type[Administered], topic: Topic) -> None:
    absent = Topic("test-absent", partitions=3)
    declare(absent, topic)
    result = run("topics", "create", "--replicas", "1")

    assert (result.exit_code, result.output) == (0, "created: test-absent, 3 partitions, kept 7 days\n")
    [created] = administered.wanted
    assert (created.topic, created.num_partitions, created.replication_factor) == ("test-absent", 3, 1)


@pytest.mark.usefixtures("_a_kafka")
def test_those_of_others_are_left_to_them() -> None:
    declare(Topic("test-absent", ours=False))

    assert run("topics", "create").output == "all topics are there\n"
    assert run("topics", "check").stderr.startswith("Kafka has no topic test-absent (another service's).\n")


@pytest.mark.usefixtures("_a_kafka")
def test_a_refusal_is_told(administered: type[Administered]) -> None:
    reason = "Replication factor is 3 but 1 server is there"
    administered.refusal = KafkaException(KafkaError(KafkaError.INVALID_REPLICATION_FACTOR, reason))
    declare(Topic("test-absent"))
    result = run("topics", "create")

    assert result.exit_code == 1
    assert result.stderr.startswith("Kafka does not create test-absent: Replication factor is 3")


@pytest.mark.parametrize("command", ALL)
def test_wrong_settings_are_explained_and_not_repeated(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "hunter2")
    result = run(*command)

    assert result.exit_code == 78
    assert "KAFKA_PASSWORD: has no effect" in result.stderr
    assert "hunter2" not in result.output
