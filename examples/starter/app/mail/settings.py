"""Settings of the mail server."""

from email.headerregistry import Address
from email.utils import getaddresses
from enum import StrEnum

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from app.core.config import Environment, EnvSettings
from app.mail.message import LINE_BREAKS, parse_address

EXAMPLE_SENDER = "My Service <no-reply@example.com>"
THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})


class Tls(StrEnum):
    """How the connection to the mail server is encrypted."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


class MailSettings(EnvSettings):
    """Which server takes the mails, and in whose name they are sent."""

    model_config = SettingsConfigDict(env_prefix="SMTP_")

    host: str | None = Field(default=None, min_length=1, description="Unset in development: mails are shown.")
    port: int = Field(default=587, ge=1, le=65535)
    tls: Tls = Field(default=Tls.STARTTLS, description="starttls (port 587), tls (port 465) or none.")
    username: str | None = Field(default=None, min_length=1)
    password: SecretStr | None = Field(default=None, min_length=1)
    sender: str = Field(default="no-reply@localhost", description=f"Example: {EXAMPLE_SENDER}")
    bounce_address: str | None = Field(default=None, description="Who hears of mails that cannot be delivered.")
    timeout_seconds: float = Field(default=10, gt=0, description="Wait for each answer of the server.")

    @field_validator("sender")
    @classmethod
    def _require_address(cls, value: str) -> str:
        """Refuse what is not one address, with or without a name."""
        sender_address(value)
        return value

    @field_validator("bounce_address")
    @classmethod
    def _require_bare_address(cls, value: str | None) -> str | None:
        """Refuse what is not one address without a name, and write its domain as servers know it."""
        if value is None:
            return None
        try:
            return parse_address(value).addr_spec
        except ValueError:
            raise ValueError("is not one address. Example: bounces@example.com") from None

    @model_validator(mode="after")
    def _require_usable_server(self) -> "MailSettings":
        """Refuse what could not work or would not be safe."""
        if (self.username is None) is not (self.password is None):
            raise ValueError("SMTP_USERNAME: must be set together with SMTP_PASSWORD, or neither of them")
        if self.env is Environment.PROD:
            self._require_safe_server()
        return self

    def _require_safe_server(self) -> None:
        if self.host is None:
            raise ValueError("SMTP_HOST: must be set; it is the server that takes the mails")
        if "sender" not in self.model_fields_set:
            raise ValueError(f"SMTP_SENDER: must be set. Example: {EXAMPLE_SENDER}")
        if self.tls is Tls.NONE and self.host not in THIS_MACHINE:
            raise ValueError("SMTP_TLS: must be starttls or tls, unless the server is on this machine")


def sender_address(sender: str) -> Address:
    """Read `Name <address>`.

    Raises:
        ValueError: If it is not one address.
    """
    found = [] if LINE_BREAKS.search(sender) else getaddresses([sender])
    try:
        [(name, address)] = found
        return parse_address(address, name)
    except ValueError:
        raise ValueError(f"is not one address. Example: {EXAMPLE_SENDER}") from None
