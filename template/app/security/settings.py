"""Settings of sign-in, whatever its kind."""

from typing import Any
from urllib.parse import urlsplit

from limits import RateLimitItem, parse
from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from app.core.config import Environment, EnvSettings

DEVELOPMENT_URL = "http://127.0.0.1:8000"


class SecuritySettings(EnvSettings):
    """How long a session lasts, and how often one may try."""

    model_config = SettingsConfigDict(env_prefix="AUTH_", arbitrary_types_allowed=True)

    app_url: str | None = Field(
        default=None, description="Where people use the application: links in mails and redirects lead there."
    )
    session_days: int = Field(default=14, ge=1, le=365, description="Until one has to sign in again.")
    account_limit: RateLimitItem = Field(
        default="10/15 minutes", validate_default=True, description="Attempts for one account."
    )
    address_limit: RateLimitItem = Field(
        default="50/15 minutes", validate_default=True, description="Attempts from one network address."
    )

    @field_validator("account_limit", "address_limit", mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        """Read `10/15 minutes`."""
        try:
            return parse(value)
        except ValueError:
            raise ValueError("is not a rate. Example: 10/15 minutes") from None

    @model_validator(mode="after")
    def _require_app_url(self) -> "SecuritySettings":
        """Refuse in production what would send people, and their secrets, elsewhere."""
        if self.env is Environment.PROD and urlsplit(self.app_url or "").scheme != "https":
            raise ValueError("AUTH_APP_URL: must be an https address. Example: https://app.example.com")
        return self

    def link(self, path: str) -> str:
        """Return the address of a page of the application."""
        return (self.app_url or DEVELOPMENT_URL).rstrip("/") + path
