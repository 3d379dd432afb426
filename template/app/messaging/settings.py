"""Settings of Kafka."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from app.core.config import ConfigurationError, Environment, EnvSettings, load

KafkaConfig = dict[str, str | int | float | bool]  # librdkafka configuration
EXAMPLE_SERVERS = "kafka-1:9092,kafka-2:9092"


class SecurityProtocol(StrEnum):
    """Protection of the connection: encryption, and authentication with a password (SASL)."""

    PLAINTEXT = "plaintext"
    SSL = "ssl"
    SASL_PLAINTEXT = "sasl_plaintext"
    SASL_SSL = "sasl_ssl"


class SaslMechanism(StrEnum):
    """SASL mechanism."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"


class KafkaSettings(EnvSettings):
    """Connection to Kafka."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_")

    bootstrap_servers: str | None = Field(
        default=None, min_length=1, description="Unset in development: the API process runs a broker."
    )
    security_protocol: SecurityProtocol = Field(
        default=SecurityProtocol.PLAINTEXT, description="Protection of the connection."
    )
    sasl_mechanism: SaslMechanism = Field(
        default=SaslMechanism.SCRAM_SHA_512, description="SASL mechanism of the password."
    )
    username: str | None = Field(default=None, min_length=1, description="User name, with sasl_….")
    password: SecretStr | None = Field(default=None, min_length=1, description="Password, with sasl_….")
    ca_file: Path | None = Field(default=None, description="Trusted certificate authorities; the system's if unset.")

    @model_validator(mode="after")
    def _validate_combination(self) -> "KafkaSettings":
        if self.bootstrap_servers is None and self.env is Environment.PROD:
            raise ValueError(f"KAFKA_BOOTSTRAP_SERVERS: must be set. Example: {EXAMPLE_SERVERS}")
        sasl = self.security_protocol in {SecurityProtocol.SASL_PLAINTEXT, SecurityProtocol.SASL_SSL}
        for name, value in {"KAFKA_USERNAME": self.username, "KAFKA_PASSWORD": self.password}.items():
            if (value is not None) is not sasl:
                word = "must be set" if sasl else "has no effect without KAFKA_SECURITY_PROTOCOL=sasl_ssl"
                raise ValueError(f"{name}: {word}.")
        return self

    def client_config(self) -> KafkaConfig:
        """Return the configuration of all Kafka clients, with the names of librdkafka's CONFIGURATION.md."""
        config: KafkaConfig = {
            "bootstrap.servers": self.bootstrap_servers or "",
            "security.protocol": self.security_protocol,
        }
        if self.username is not None and self.password is not None:
            config |= {
                "sasl.mechanism": self.sasl_mechanism,
                "sasl.username": self.username,
                "sasl.password": self.password.get_secret_value(),
            }
        return config if self.ca_file is None else config | {"ssl.ca.location": str(self.ca_file)}


def require_kafka() -> KafkaSettings:
    """Load the settings of a process that needs a Kafka server.

    Raises:
        ConfigurationError: If `KAFKA_BOOTSTRAP_SERVERS` is not set.
    """
    settings = load(KafkaSettings)
    if settings.bootstrap_servers is None:
        raise ConfigurationError(
            "KAFKA_BOOTSTRAP_SERVERS is not set: in development, the API process runs the relay and the consumers.\n"
            f"To run separate processes, set it for the API and for all of them. Example: {EXAMPLE_SERVERS}"
        )
    return settings
