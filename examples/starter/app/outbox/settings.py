"""Settings of the relay."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from app.core.config import EnvSettings


class OutboxSettings(EnvSettings):
    """How often the relay polls the outbox, in addition to notifications."""

    model_config = SettingsConfigDict(env_prefix="OUTBOX_")

    poll_seconds: float = Field(default=0.25, gt=0, le=60, description="Seconds between two polls of an idle relay.")
