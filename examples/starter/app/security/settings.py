"""Settings of sign-in, whatever its kind."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import SettingsConfigDict

from app.core.config import Environment, EnvSettings, Settings, load

_RATE = re.compile(r"[1-9][0-9]*\s*(/|per)\s*([1-9][0-9]*\s*)?(second|minute|hour|day)s?")


def _check_rate(value: str) -> str:
    """Let only through what `limits` reads as it is meant."""
    if not _RATE.fullmatch(value):
        raise ValueError("is not a rate. Example: 10/15 minutes")
    return value


Rate = Annotated[str, AfterValidator(_check_rate)]


class SecuritySettings(EnvSettings):
    """How long a session lasts, and how often one may try."""

    model_config = SettingsConfigDict(env_prefix="AUTH_")

    app_url: str | None = Field(
        default=None, description="Where people use the application: links in mails and redirects lead there."
    )
    session_days: int = Field(default=14, ge=1, le=365, description="Until one has to sign in again.")
    address_limit: Rate = Field(default="50/15 minutes", description="Attempts of a kind from one network address.")

    @model_validator(mode="after")
    def _require_app_url(self) -> "SecuritySettings":
        """Refuse in production what would send people, and their secrets, elsewhere."""
        if self.env is Environment.PROD and not is_safe_url(self.app_url or "", self.env):
            raise ValueError("AUTH_APP_URL: must be an https address. Example: https://app.example.com")
        return self

    def link(self, path: str) -> str:
        """Return the address of a page of the application; in development that of this service."""
        return (self.app_url or f"http://127.0.0.1:{load(Settings).port}").rstrip("/") + path


def is_safe_url(url: str, env: Environment) -> bool:
    """Tell whether it is an https address and nothing more; one of this machine will do outside production."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if not host or parts.query or parts.fragment or parts.username:
        return False
    loopback = host in ("127.0.0.1", "::1", "localhost")
    return parts.scheme == "https" or (env is not Environment.PROD and parts.scheme == "http" and loopback)
