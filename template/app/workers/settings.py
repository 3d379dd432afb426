"""Settings of the workers."""

from typing import Annotated

from pydantic import AnyUrl, Field, SecretStr, TypeAdapter, UrlConstraints, model_validator
from pydantic_settings import SettingsConfigDict

from app.core.config import Environment, EnvSettings

EXAMPLE_URL = "redis://localhost:6379/0"

_URL: TypeAdapter[AnyUrl] = TypeAdapter(Annotated[AnyUrl, UrlConstraints(allowed_schemes=["redis", "rediss", "unix"])])


class WorkerSettings(EnvSettings):
    """Where jobs are handed out, and how many one worker does at a time."""

    model_config = SettingsConfigDict(env_prefix="WORKER_")

    redis_url: SecretStr | None = Field(
        default=None, validation_alias="REDIS_URL", description="Unset in development: the API does the jobs itself."
    )
    jobs: int = Field(default=8, ge=1, le=100, description="Jobs that one worker does at the same time.")
    stop_seconds: int = Field(default=20, ge=0, description="For jobs under way when a worker is told to stop.")

    @model_validator(mode="after")
    def _require_usable_url(self) -> "WorkerSettings":
        """Refuse what could not work: in production nobody else would do the jobs."""
        if self.redis_url is None:
            if self.env is Environment.PROD:
                raise ValueError(f"REDIS_URL: must be set. Example: {EXAMPLE_URL}")
            return self
        try:
            _URL.validate_python(self.redis_url.get_secret_value())
        except ValueError:  # it names the URL, which may hold a password
            raise ValueError(f"REDIS_URL: is not the URL of a Redis. Example: {EXAMPLE_URL}") from None
        return self
