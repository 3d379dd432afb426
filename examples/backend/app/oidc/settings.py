"""Settings of OpenID providers."""

import json
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from app.core.config import Environment, EnvSettings
from app.security.settings import is_safe_url

EXAMPLE = '[{"name": "acme", "issuer": "https://id.example.com", "client_id": "app", "client_secret": "…"}]'


class ProviderSettings(BaseModel):
    """An OpenID provider, with the client credentials of this service."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern="^[a-z0-9-]{1,32}$", description="Part of the callback URL.")
    label: str = Field(default="", description="Display name; defaults to the name.")
    issuer: str = Field(max_length=255, description="Exactly as in the tokens of the provider.")
    client_id: str = Field(min_length=1)
    client_secret: SecretStr = Field(min_length=1)
    scopes: str = Field(default="openid email profile", pattern="(^| )openid( |$)")
    verified_claim: str = Field(default="email_verified", min_length=1, description="Claim for a verified address.")
    audience: str | None = Field(
        default=None, min_length=1, description="Audience of access tokens for this API; if unset, they are rejected."
    )
    clients: tuple[str, ...] = Field(default=(), description="Clients with accepted access tokens; empty means any.")

    @model_validator(mode="after")
    def _reject_id_token_audience(self) -> "ProviderSettings":
        """Reject an audience with which ID tokens would be accepted as access tokens."""
        if self.audience == self.client_id:
            raise ValueError("audience: must not be the client_id, which is the audience of ID tokens")
        return self


class OidcSettings(EnvSettings):
    """The providers, and the URL of the callback."""

    model_config = SettingsConfigDict(env_prefix="OIDC_")

    public_url: str | None = Field(
        default=None, description="Public URL of this service, if it differs from AUTH_APP_URL."
    )
    providers: Annotated[tuple[ProviderSettings, ...], NoDecode] = Field(
        default_factory=lambda known: _development_provider() if known.get("env") is not Environment.PROD else (),
        description="A JSON list. Default in development: the provider of the tests, on port 9000.",
    )

    @field_validator("providers", mode="wrap")
    @classmethod
    def _parse(cls, value: Any, validate: Callable[[Any], Any]) -> Any:
        """Parse JSON; errors name the invalid field."""
        try:
            return validate(json.loads(value) if isinstance(value, str) else value)
        except ValidationError as error:
            reasons = (_explain(problem) for problem in error.errors(include_input=False))
            raise ValueError("; ".join(reasons)) from None
        except json.JSONDecodeError:
            raise ValueError(f"is not JSON. Example: {EXAMPLE}") from None

    @model_validator(mode="after")
    def _reject_unsafe(self) -> "OidcSettings":
        """Reject URLs without https, and duplicate names or issuers."""
        if not self.providers:
            raise ValueError(f"OIDC_PROVIDERS: must name at least one provider. Example: {EXAMPLE}")
        if self.public_url is not None and not is_safe_url(self.public_url, self.env):
            raise ValueError("OIDC_PUBLIC_URL: must be an https URL")
        for field in ("name", "issuer"):
            if len({getattr(provider, field) for provider in self.providers}) < len(self.providers):
                raise ValueError(f"OIDC_PROVIDERS: two providers have the same {field}")
        for number, provider in enumerate(self.providers, 1):
            if not is_safe_url(provider.issuer, self.env):
                raise ValueError(f"OIDC_PROVIDERS: provider {number}: issuer: must be an https URL")
        return self


def _explain(problem: Any) -> str:
    """Describe the provider and field of an error, without the value, which may be a secret."""
    number, *field = problem["loc"] or ("",)
    place = f"provider {number + 1}" if isinstance(number, int) else ""
    message = str(problem["msg"]).removeprefix("Value error, ")
    return ": ".join(filter(None, (place, ".".join(map(str, field)), message)))


def _development_provider() -> tuple[ProviderSettings, ...]:
    """Return the settings of the provider that `python -m tests.identity_provider` runs."""
    provider = {"name": "dev", "issuer": "http://127.0.0.1:9000", "client_id": "app", "client_secret": "development"}
    return (ProviderSettings.model_validate(provider),)
