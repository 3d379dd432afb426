"""Settings shared by all kinds of sign-in."""

import re
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import SettingsConfigDict

from app.core.config import Environment, EnvSettings, Settings, load

_RATE = re.compile(r"[1-9][0-9]*\s*(/|per)\s*([1-9][0-9]*\s*)?(second|minute|hour|day)s?")


def _check_rate(value: str) -> str:
    """Reject rates that `limits` would parse incorrectly."""
    if not _RATE.fullmatch(value):
        raise ValueError("is not a rate. Example: 10/15 minutes")
    return value


Rate = Annotated[str, AfterValidator(_check_rate)]


class SecuritySettings(EnvSettings):
    """Session lifetime, rate limits, and the URL of the frontend."""

    model_config = SettingsConfigDict(env_prefix="AUTH_")

    app_url: str | None = Field(
        default=None, description="URL of the frontend, the target of links in emails and of redirects."
    )
    session_days: int = Field(default=14, ge=1, le=365, description="Session lifetime, in days.")
    address_limit: Rate = Field(
        default="50/15 minutes", description="Limit per action and network; successful sign-ins do not count."
    )

    @model_validator(mode="after")
    def _require_app_url(self) -> "SecuritySettings":
        """Require https in production, since links and redirects contain secrets."""
        if self.env is Environment.PROD and not is_safe_url(self.app_url or "", self.env):
            raise ValueError("AUTH_APP_URL: must be an https URL. Example: https://app.example.com")
        return self

    @property
    def session_lifetime(self) -> timedelta:
        """The lifetime of a session."""
        return timedelta(days=self.session_days)

    def link(self, path: str) -> str:
        """Return the URL of a page of the frontend; in development, the default is this service."""
        return (self.app_url or f"http://127.0.0.1:{load(Settings).port}").rstrip("/") + path


def is_safe_url(url: str, env: Environment) -> bool:
    """Return whether it is a plain https URL. Outside production, http is allowed for the local host."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if not host or parts.query or parts.fragment or parts.username:
        return False
    loopback = host in ("127.0.0.1", "::1", "localhost")
    return parts.scheme == "https" or (env is not Environment.PROD and parts.scheme == "http" and loopback)
