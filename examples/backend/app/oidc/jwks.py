"""The public keys of a provider, and what they prove."""

from collections.abc import Awaitable, Callable
from typing import Any

import jwt
import structlog
from jwt import InvalidKeyError, PyJWK, PyJWKSet, PyJWTError

from app.core.exceptions import UnauthenticatedError
from app.oidc.cache import Cached

KEPT_SECONDS = 600
COOLDOWN_SECONDS = 30  # Unknown keys make us look for new ones, but no more often than this.
LEEWAY_SECONDS = 30  # Clocks differ.

# Never those that a token asks for: `none` needs no key, and HS256 would take a public key for a secret.
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
REQUIRED = ["iss", "aud", "sub", "exp"]

logger = structlog.get_logger(__name__)


class InvalidToken(UnauthenticatedError):
    """The token is forged, expired, or made for somebody else. Which of these is not told."""

    message = "The token is not valid here."


class Jwks:
    """The keys that a provider signs with just now."""

    def __init__(self, fetch: Callable[[], Awaitable[PyJWKSet]]) -> None:
        """Take what fetches the provider's key set."""
        self._keys = Cached(fetch)

    async def verify(self, token: str, issuer: str, audience: str) -> dict[str, Any]:
        """Return the claims of a token.

        Raises:
            InvalidToken: If it is not a valid one from this issuer for this audience.
            ProviderUnavailable: If the keys cannot be fetched.
        """
        try:
            return jwt.decode(
                token,
                await self._key(jwt.get_unverified_header(token).get("kid")),
                algorithms=ALGORITHMS,
                issuer=issuer,
                audience=audience,
                leeway=LEEWAY_SECONDS,
                options={"require": REQUIRED, "enforce_minimum_key_length": True},
            )
        except PyJWTError as error:
            logger.info("token refused", issuer=issuer, reason=type(error).__name__)
            raise InvalidToken from None

    async def _key(self, kid: str | None) -> PyJWK:
        """Find the key with this id; if there is none, it may be a new one."""
        for max_age in (KEPT_SECONDS, COOLDOWN_SECONDS):
            for key in await self._keys.get(max_age):
                if kid is not None and key.key_id == kid:
                    return key
        raise InvalidKeyError("unknown key")
