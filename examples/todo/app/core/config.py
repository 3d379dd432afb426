"""Settings, read from the environment and validated before anything starts.

Each package has its own settings class with its own prefix. All of them derive from
`EnvSettings` and are read with `load`. `.env.example` lists every variable.
"""

import os
import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from ipaddress import ip_network
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

S = TypeVar("S", bound="EnvSettings")
CommaSeparated = Annotated[tuple[str, ...], NoDecode]


class Environment(StrEnum):
    """Environment of the process. The default is production, so that safe settings are never skipped by accident."""

    DEV = "dev"
    TEST = "test"
    PROD = "prod"


class ConfigurationError(Exception):
    """A setting is missing or invalid; the process cannot start."""


class InvalidSettings(ConfigurationError):
    """Settings that are missing or invalid, with one line for each variable."""

    def __init__(self, problems: Sequence[str]) -> None:
        lines = "".join(f"  {problem}\n" for problem in problems)
        super().__init__(
            f"Invalid settings:\n{lines}"
            "Set them in the environment or in .env; .env.example explains each.\n"
            "ENV is prod unless it is set; on your own machine set ENV=dev."
        )
        self.problems = problems


class EnvSettings(BaseSettings):
    """Base class of all settings: how they are read, and the environment (`ENV`)."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    env: Environment = Field(default=Environment.PROD, validation_alias="ENV")

    @classmethod
    def variable(cls, field: str) -> str:
        """Return the name of the environment variable that sets `field`."""
        alias = cls.model_fields[field].validation_alias
        return alias if isinstance(alias, str) else f"{cls.model_config.get('env_prefix', '')}{field}".upper()


class Settings(EnvSettings):
    """Core settings of the application."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port to listen on.")
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    debug: bool = Field(default=False, description="Include tracebacks in 500 responses.")
    forwarded_allow_ips: str = Field(
        default="127.0.0.1", description="Addresses of trusted proxies (X-Forwarded-For), comma-separated."
    )
    cors_origins: CommaSeparated = Field(
        default=(), description="Origins whose pages may call this API (CORS), comma-separated."
    )
    cors_credentials: bool = Field(default=False, description="Allow these pages to send cookies.")
    cors_allow_headers: CommaSeparated = Field(
        default=(), description="More request headers that these pages may send, comma-separated."
    )
    cors_expose_headers: CommaSeparated = Field(
        default=(), description="More response headers that these pages may read, comma-separated."
    )
    max_body_bytes: int = Field(default=1_048_576, ge=1, description="Maximum size of a request body, in bytes.")
    max_header_bytes: int = Field(default=65_536, ge=1024, description="Maximum size of request headers, in bytes.")
    max_connections: int = Field(
        default=900,
        ge=1,
        description="Maximum number of connections of each process. The limit of open files must be higher.",
    )
    request_timeout_seconds: float = Field(
        default=30,
        gt=0,
        description="Time limit for receiving the request headers, and again until the response starts, in seconds.",
    )
    keep_alive_seconds: int = Field(
        default=120,
        ge=1,
        description="Time until an idle connection is closed, in seconds. It must be longer than in the proxy in front, "
        "so that the proxy never sends a request on a connection that is being closed.",
    )
    shutdown_delay_seconds: float = Field(
        default=0,
        ge=0,
        description="Time to accept connections after SIGTERM, in seconds, while /health/ready fails.",
    )
    shutdown_grace_seconds: int = Field(
        default=20, ge=1, description="Time for running requests to finish after that, in seconds."
    )

    @field_validator("cors_origins", "cors_allow_headers", "cors_expose_headers", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """Split a comma-separated list."""
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("forwarded_allow_ips")
    @classmethod
    def _reject_invalid_networks(cls, networks: str) -> str:
        try:
            for network in filter(None, map(str.strip, networks.split(","))):
                ip_network("0.0.0.0/0" if network == "*" else network)
        except ValueError:
            raise ValueError(
                "must be IP addresses and networks, comma-separated, or *. Example: 10.0.0.0/8,127.0.0.1"
            ) from None
        return networks

    @field_validator("cors_origins")
    @classmethod
    def _normalize_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        """Write origins as browsers send them, and reject what they never send."""
        origins = tuple(origin.lower().removesuffix("/") for origin in origins)
        if not all(origin == "*" or re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+", origin) for origin in origins):
            raise ValueError("must be origins without a path, comma-separated. Example: https://app.example.com")
        return origins

    @field_validator("cors_allow_headers", "cors_expose_headers")
    @classmethod
    def _reject_invalid_header_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(r"[A-Za-z0-9-]+", name) for name in names):
            raise ValueError("must be names of headers, comma-separated. Example: X-Tenant,X-Client-Version")
        return names

    @model_validator(mode="after")
    def _reject_unsafe_production(self) -> "Settings":
        """Reject settings in production that are meant for development only."""
        unsafe = {
            "DEBUG: must be false in production; it shows tracebacks to clients": self.debug,
            "CORS_ORIGINS: must be a list of https origins in production; * is not allowed": any(
                not origin.startswith("https://") for origin in self.cors_origins
            ),
        }
        if self.env is Environment.PROD and any(unsafe.values()):
            raise ValueError("\n  ".join(reason for reason, applies in unsafe.items() if applies))
        return self


def load(settings: type[S]) -> S:
    """Read and validate a settings class.

    Tests ignore `.env`, so that the values of a developer do not affect them.

    Raises:
        ConfigurationError: With one line for each variable that is missing or invalid.
    """
    try:
        return settings(_env_file=None if os.environ.get("ENV") == Environment.TEST else ".env")
    except ValidationError as error:
        problems = [_explain(settings, problem) for problem in error.errors(include_input=False)]
        raise InvalidSettings(problems) from None


def load_all() -> None:
    """Validate all settings classes, so that a server with invalid settings fails at startup.

    Raises:
        ConfigurationError: With one line for each variable that is missing or invalid.
    """
    problems: list[str] = []
    for settings in _subclasses(EnvSettings):
        try:
            load(settings)
        except InvalidSettings as error:
            problems += error.problems
    if problems:
        raise InvalidSettings(list(dict.fromkeys(problems)))  # a subclass repeats those of its parent


def _subclasses(settings: type[EnvSettings]) -> Iterator[type[EnvSettings]]:
    for child in settings.__subclasses__():
        yield child
        yield from _subclasses(child)


def _explain(settings: type[EnvSettings], problem: Any) -> str:
    """Describe a problem by the name of the variable, without its value, which may be a secret."""
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return message
    field = str(problem["loc"][0])
    return f"{settings.variable(field) if field in settings.model_fields else field}: {message}"
