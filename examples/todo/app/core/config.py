"""Settings: read from the environment, checked before anything starts.

Each package keeps its own class with its own prefix; all of them derive from
`EnvSettings` and are read through `load`. `.env.example` lists every variable.
"""

import os
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

S = TypeVar("S", bound="EnvSettings")


class Environment(StrEnum):
    """Where the process runs. Unset means production, so nothing is lax by accident."""

    DEV = "dev"
    TEST = "test"
    PROD = "prod"


class ConfigurationError(Exception):
    """The environment does not describe a service that may start."""


class EnvSettings(BaseSettings):
    """What every settings class shares: how it is read, and the environment it is for."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    env: Environment = Field(default=Environment.PROD, validation_alias="ENV")

    @classmethod
    def variable(cls, field: str) -> str:
        """Return the name of the environment variable that sets `field`."""
        alias = cls.model_fields[field].validation_alias
        return alias if isinstance(alias, str) else f"{cls.model_config.get('env_prefix', '')}{field}".upper()


class Settings(EnvSettings):
    """What the HTTP service needs, whatever else is switched on."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port to listen on.")
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    debug: bool = Field(default=False, description="Put the traceback into the answer to an internal error.")
    forwarded_allow_ips: str = Field(
        default="127.0.0.1", description="Proxies whose word is taken for a client's address, separated by commas."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Origins, separated by commas, whose pages may call this API."
    )
    cors_credentials: bool = Field(default=False, description="Whether these pages may send cookies along.")
    max_body_bytes: int = Field(default=1_048_576, ge=1, description="Largest request body, in bytes.")
    request_timeout_seconds: float = Field(default=30, gt=0, description="Until an answer must have begun.")
    shutdown_grace_seconds: int = Field(default=20, ge=1, description="For running requests after SIGTERM.")

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """Read `a, b` as two origins."""
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _refuse_lax_production(self) -> "Settings":
        """Refuse in production what is only meant for a developer's machine."""
        lax = {
            "DEBUG: must not be on in production; it shows tracebacks to clients": self.debug,
            "CORS_ORIGINS: must be https origins in production; name them, * is none": any(
                not origin.startswith("https://") for origin in self.cors_origins
            ),
        }
        if self.env is Environment.PROD and any(lax.values()):
            raise ValueError("\n  ".join(reason for reason, applies in lax.items() if applies))
        return self


def load(settings: type[S]) -> S:
    """Read and check one settings class.

    Tests do not see `.env`, so that a developer's own values cannot decide them.

    Raises:
        ConfigurationError: With one line for each variable that is missing or wrong.
    """
    try:
        return settings(_env_file=None if os.environ.get("ENV") == Environment.TEST else ".env")
    except ValidationError as error:
        lines = "\n".join(f"  {_explain(settings, problem)}" for problem in error.errors(include_input=False))
        raise ConfigurationError(
            f"The settings do not allow a start:\n{lines}\n"
            "Set them in the environment or in .env; .env.example explains each.\n"
            "ENV is prod unless it is set; on your own machine set ENV=dev."
        ) from None


def load_all(settings: type[EnvSettings] = EnvSettings) -> None:
    """Check every settings class there is, so that a server does not begin what it cannot go on with.

    Raises:
        ConfigurationError: With one line for each variable of the first class that is wrong.
    """
    for child in settings.__subclasses__():
        load(child)
        load_all(child)


def _explain(settings: type[EnvSettings], problem: Any) -> str:
    """Name the variable, never its value: it may be a secret."""
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return message
    field = str(problem["loc"][0])
    return f"{settings.variable(field) if field in settings.model_fields else field}: {message}"
