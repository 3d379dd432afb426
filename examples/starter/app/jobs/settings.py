"""Settings of the workers."""

from typing import Annotated

from pydantic import AnyUrl, Field, SecretStr, TypeAdapter, UrlConstraints, model_validator
from pydantic_settings import SettingsConfigDict

from app.core.config import Environment, EnvSettings

EXAMPLE_URL = "redis://localhost:6379/0"

_URL: TypeAdapter[AnyUrl] = TypeAdapter(Annotated[AnyUrl, UrlConstraints(allowed_schemes=["redis", "rediss", "unix"])])


class WorkerSettings(EnvSettings):
    """Redis, and the limits of a worker."""

    model_config = SettingsConfigDict(env_prefix="WORKER_")

    redis_url: SecretStr | None = Field(
        default=None, validation_alias="REDIS_URL", description="Unset in development: the API process runs jobs."
    )
    jobs: int = Field(default=8, ge=1, le=100, description="Number of jobs that one worker runs concurrently.")
    stop_seconds: int = Field(default=20, ge=0, description="Seconds for running jobs to finish when a worker stops.")

    @model_validator(mode="after")
    def _require_usable_url(self) -> "WorkerSettings":
        """Require a valid URL in production, where only workers run jobs."""
        if self.redis_url is None:
            if self.env is Environment.PROD:
                raise ValueError(f"REDIS_URL: must be set. Example: {EXAMPLE_URL}")
            return self
        try:
            _URL.validate_python(self.redis_url.get_secret_value())
        except ValueError:  # it contains the URL, which may contain a password
            raise ValueError(f"REDIS_URL: must be a Redis URL. Example: {EXAMPLE_URL}") from None
        return self
