"""Settings of Kafka: invalid values are rejected, and errors do not contain them."""

from pathlib import Path

import pytest

from app.core.config import ConfigurationError, load
from app.messaging.settings import KafkaSettings

SECRET = "hunter2"
SERVERS = {"KAFKA_BOOTSTRAP_SERVERS": "kafka-1:9092"}
SASL = {"KAFKA_SECURITY_PROTOCOL": "sasl_ssl"}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ENV": "prod"}, "KAFKA_BOOTSTRAP_SERVERS: must be set. Example: kafka-1:9092,kafka-2:9092"),
        ({"KAFKA_BOOTSTRAP_SERVERS": ""}, "KAFKA_BOOTSTRAP_SERVERS: "),
        (SERVERS | {"KAFKA_SECURITY_PROTOCOL": SECRET}, "KAFKA_SECURITY_PROTOCOL: Input should be 'plaintext', "),
        (SERVERS | {"KAFKA_SASL_MECHANISM": SECRET}, "KAFKA_SASL_MECHANISM: Input should be 'PLAIN', "),
        (SERVERS | SASL | {"KAFKA_PASSWORD": SECRET}, "KAFKA_USERNAME: must be set."),
        (SERVERS | SASL | {"KAFKA_USERNAME": "ada"}, "KAFKA_PASSWORD: must be set."),
        (SERVERS | SASL | {"KAFKA_USERNAME": "ada", "KAFKA_PASSWORD": ""}, "KAFKA_PASSWORD: "),
        (SERVERS | {"KAFKA_USERNAME": "ada"}, "KAFKA_USERNAME: has no effect without KAFKA_SECURITY_PROTOCOL=sasl_ssl"),
        (SERVERS | {"KAFKA_PASSWORD": SECRET}, "KAFKA_PASSWORD: has no effect without"),
    ],
)
def test_invalid_settings_are_rejected_without_values(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str], expected: str
) -> None:
    monkeypatch.chdir(tmp_path)  # a valid .env would hide the error
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError) as caught:
        load(KafkaSettings)
    assert expected in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, {"security.protocol": "plaintext"}),
        (
            {"KAFKA_SECURITY_PROTOCOL": "ssl", "KAFKA_CA_FILE": "ca.pem"},
            {"security.protocol": "ssl", "ssl.ca.location": "ca.pem"},
        ),
        (
            SASL | {"KAFKA_USERNAME": "ada", "KAFKA_PASSWORD": SECRET},
            {
                "security.protocol": "sasl_ssl",
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": "ada",
                "sasl.password": SECRET,
            },
        ),
    ],
    ids=["plain", "encrypted", "with a password"],
)
def test_settings_are_passed_to_kafka_client(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: dict[str, str]
) -> None:
    for name, value in (SERVERS | variables).items():
        monkeypatch.setenv(name, value)
    settings = load(KafkaSettings)

    assert settings.client_config() == {"bootstrap.servers": "kafka-1:9092"} | expected
    assert SECRET not in repr(settings)


def test_kafka_is_optional_in_development() -> None:
    assert load(KafkaSettings).bootstrap_servers is None
