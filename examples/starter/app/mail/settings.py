"""SMTP settings."""

from email.headerregistry import Address
from email.utils import getaddresses
from enum import StrEnum

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from app.core.config import Environment, EnvSettings
from app.mail.message import LINE_BREAKS, parse_address

EXAMPLE_SENDER = "My Service <no-reply@example.com>"
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


class Tls(StrEnum):
    """Encryption of the connection to the SMTP server."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


class MailSettings(EnvSettings):
    """SMTP server and sender address."""

    model_config = SettingsConfigDict(env_prefix="SMTP_")

    host: str | None = Field(default=None, min_length=1, description="If unset in development, emails are printed.")
    port: int = Field(default=587, ge=1, le=65535)
    tls: Tls = Field(default=Tls.STARTTLS, description="starttls (port 587), tls (port 465) or none.")
    username: str | None = Field(default=None, min_length=1)
    password: SecretStr | None = Field(default=None, min_length=1)
    sender: str = Field(default="no-reply@localhost", description=f"Example: {EXAMPLE_SENDER}")
    bounce_address: str | None = Field(default=None, description="Recipient of bounces (envelope sender).")
    timeout_seconds: float = Field(default=10, gt=0, description="Time limit for each response of the server.")

    @field_validator("sender")
    @classmethod
    def _require_address(cls, value: str) -> str:
        """Require exactly one address, with or without a name."""
        sender_address(value)
        return value

    @field_validator("bounce_address")
    @classmethod
    def _require_bare_address(cls, value: str | None) -> str | None:
        """Require exactly one address without a name; encode an internationalized domain (IDNA)."""
        if value is None:
            return None
        try:
            return parse_address(value).addr_spec
        except ValueError:
            raise ValueError("must be exactly one email address. Example: bounces@example.com") from None

    @model_validator(mode="after")
    def _require_usable_server(self) -> "MailSettings":
        """Reject incomplete settings, and unsafe ones in production."""
        if (self.username is None) is not (self.password is None):
            raise ValueError("SMTP_USERNAME: must be set together with SMTP_PASSWORD, or both unset")
        if self.env is Environment.PROD:
            self._require_safe_server()
        return self

    def _require_safe_server(self) -> None:
        if self.host is None:
            raise ValueError("SMTP_HOST: must be set to the SMTP server that sends the emails")
        if "sender" not in self.model_fields_set:
            raise ValueError(f"SMTP_SENDER: must be set. Example: {EXAMPLE_SENDER}")
        if self.tls is Tls.NONE and self.host not in LOCAL_HOSTS:
            raise ValueError("SMTP_TLS: must be starttls or tls, unless the server runs on this machine")


def sender_address(sender: str) -> Address:
    """Parse `Name <address>` or a bare address.

    Raises:
        ValueError: If it is not exactly one address.
    """
    found = [] if LINE_BREAKS.search(sender) else getaddresses([sender])
    try:
        [(name, address)] = found
        return parse_address(address, name)
    except ValueError:
        raise ValueError(f"must be exactly one email address. Example: {EXAMPLE_SENDER}") from None
