"""Public keys of a provider, and the verification of its tokens."""

from collections.abc import Awaitable, Callable
from typing import Any

import jwt
import structlog
from jwt import InvalidKeyError, PyJWK, PyJWKSet, PyJWTError

from app.core.exceptions import UnauthenticatedError
from app.oidc.cache import Cached

CACHE_SECONDS = 600
COOLDOWN_SECONDS = 30  # An unknown key id triggers a fetch of the keys, at most this often.
LEEWAY_SECONDS = 30  # Tolerance for clock differences.

# Never accept other algorithms from a token: `none` needs no key, and HS256 would use a public key as the secret.
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
REQUIRED_CLAIMS = ["iss", "aud", "sub", "exp"]

logger = structlog.get_logger(__name__)


class InvalidToken(UnauthenticatedError):
    """The token is forged, expired, or for another audience. The reason is not disclosed."""

    message = "Invalid or expired token."


class Jwks:
    """The current signing keys of a provider."""

    def __init__(self, fetch: Callable[[], Awaitable[PyJWKSet]]) -> None:
        self._keys = Cached(fetch)

    async def verify(self, token: str, issuer: str, audience: str) -> dict[str, Any]:
        """Verify a token, and return its claims.

        Raises:
            InvalidToken: If it is not a valid token from this issuer for this audience.
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
                options={"require": REQUIRED_CLAIMS, "enforce_minimum_key_length": True},
            )
        except PyJWTError as error:
            logger.info("token rejected", issuer=issuer, reason=type(error).__name__)
            raise InvalidToken from None

    async def _key(self, kid: str | None) -> PyJWK:
        """Return the key with this id; fetch the keys again if the id is unknown."""
        for max_age in (CACHE_SECONDS, COOLDOWN_SECONDS):
            for key in await self._keys.get(max_age):
                if kid is not None and key.key_id == kid:
                    return key
        raise InvalidKeyError("unknown key")
