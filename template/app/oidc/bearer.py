"""Access tokens of a provider, shown by programs that call this API (RFC 6750, RFC 9068)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt
from jwt import PyJWTError

from app.oidc.jwks import InvalidToken
from app.oidc.provider import Provider
from app.oidc.providers import Providers
from app.oidc.statements import Person


@dataclass(frozen=True)
class AccessToken:
    """A valid access token."""

    provider: Provider
    claims: dict[str, Any]
    text: str

    @property
    def scopes(self) -> frozenset[str]:
        """What it says it may be used for: as OAuth writes it (RFC 9068 §2.2.3), or as some providers do."""
        said = self.claims.get("scope", self.claims.get("scp", ""))
        return frozenset(map(str, said) if isinstance(said, list) else str(said).split())

    @property
    def expires_at(self) -> datetime:
        """When it ends."""
        return datetime.fromtimestamp(int(self.claims["exp"]), UTC)

    async def person(self) -> Person:
        """Describe its owner.

        Raises:
            ProviderUnavailable: If the provider has to be asked and does not answer.
        """
        return await self.provider.person(self.claims, self.text)


async def read_access_token(providers: Providers, text: str) -> AccessToken:
    """Check an access token.

    Raises:
        InvalidToken: If none of the providers has made it for this API.
        ProviderUnavailable: If the keys to check it cannot be fetched.
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
    """Find out who would have to have signed it; the signature is checked with that provider's keys."""
    try:
        named = jwt.decode(text, options={"verify_signature": False}).get("iss")
    except PyJWTError:
        raise InvalidToken from None
    for provider in providers:
        if provider.settings.issuer == named:
            return provider
    raise InvalidToken
