"""Access tokens of identity providers, sent by clients of this API (RFC 6750, RFC 9068)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt
from jwt import PyJWTError

from app.oidc.claims import ProviderUser
from app.oidc.jwks import InvalidToken
from app.oidc.provider import Provider
from app.oidc.providers import Providers


@dataclass(frozen=True)
class AccessToken:
    """A valid access token."""

    provider: Provider
    claims: dict[str, Any]
    text: str

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes, from the standard claim (RFC 9068 §2.2.3) or from `scp`, which some providers use."""
        value = self.claims.get("scope", self.claims.get("scp", ""))
        return frozenset(map(str, value) if isinstance(value, list) else str(value).split())

    @property
    def expires_at(self) -> datetime:
        """Expiry of the token."""
        return datetime.fromtimestamp(int(self.claims["exp"]), UTC)

    async def fetch_user(self) -> ProviderUser:
        """Return the user of the token.

        Raises:
            ProviderUnavailable: If the provider must be queried and is unavailable.
        """
        return await self.provider.fetch_user(self.claims, self.text)


async def read_access_token(providers: Providers, text: str) -> AccessToken:
    """Verify an access token.

    Raises:
        InvalidToken: If the token is invalid, or was not issued by a known provider for this API.
        ProviderUnavailable: If the keys of the provider cannot be fetched.
    """
    provider = _issuer(providers, text)
    audience = provider.settings.audience
    if audience is None:
        raise InvalidToken
    claims = await provider.keys.verify(text, provider.settings.issuer, audience)
    client = claims.get("azp", claims.get("client_id"))
    if provider.settings.clients and client not in provider.settings.clients:
        raise InvalidToken
    return AccessToken(provider, claims, text)


def _issuer(providers: Providers, text: str) -> Provider:
    """Return the provider that the token names as its issuer. The signature is not verified here."""
    try:
        issuer = jwt.decode(text, options={"verify_signature": False}).get("iss")
    except PyJWTError:
        raise InvalidToken from None
    for provider in providers:
        if provider.settings.issuer == issuer:
            return provider
    raise InvalidToken
