"""Metadata of a provider, and user claims."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, model_validator


class ProviderMetadata(BaseModel):
    """Provider metadata (OpenID Connect Discovery 1.0 §3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False

    @model_validator(mode="after")
    def _reject_http_downgrade(self) -> "ProviderMetadata":
        """Reject http endpoints if the issuer uses https."""
        scheme = f"{self.issuer.partition(':')[0]}://"
        named = (self.authorization_endpoint, self.token_endpoint, self.jwks_uri)
        optional = filter(None, (self.userinfo_endpoint, self.end_session_endpoint))
        if not all(url.startswith((scheme, "https://")) for url in (*named, *optional)):
            raise ValueError("an endpoint is not an https URL")
        return self


@dataclass(frozen=True)
class ProviderUser:
    """A user, as described by a provider."""

    issuer: str
    subject: str
    email: str | None
    email_verified: bool
    name: str | None

    @classmethod
    def from_claims(cls, claims: dict[str, Any], verified_claim: str) -> "ProviderUser":
        """Create a user from claims. Only `true` means verified: some providers send the string "false"."""
        verified = claims.get(verified_claim) is True
        return cls(claims["iss"], claims["sub"], claims.get("email"), verified, claims.get("name"))
