"""What a provider says: about itself, and about people."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, model_validator


class Metadata(BaseModel):
    """What a provider says about itself (OpenID Connect Discovery 1.0 §3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False

    @model_validator(mode="after")
    def _refuse_lesser_endpoints(self) -> "Metadata":
        """Refuse to go from https to http."""
        scheme = f"{self.issuer.partition(':')[0]}://"
        named = (self.authorization_endpoint, self.token_endpoint, self.jwks_uri)
        optional = filter(None, (self.userinfo_endpoint, self.end_session_endpoint))
        if not all(url.startswith((scheme, "https://")) for url in (*named, *optional)):
            raise ValueError("an endpoint is no https address")
        return self


@dataclass(frozen=True)
class Person:
    """Somebody, as a provider describes them."""

    issuer: str
    subject: str
    email: str | None
    email_verified: bool
    name: str | None

    @classmethod
    def described(cls, claims: dict[str, Any], verified_claim: str) -> "Person":
        """Read claims. Only `true` is verified: some providers write the text "false"."""
        verified = claims.get(verified_claim) is True
        return cls(claims["iss"], claims["sub"], claims.get("email"), verified, claims.get("name"))
