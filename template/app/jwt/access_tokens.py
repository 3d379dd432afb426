"""Access tokens: short-lived, signed, and good without a look into the database (RFC 9068)."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from uuid import UUID, uuid4

import jwt

from app.core.exceptions import UnauthenticatedError
from app.jwt.keys import SigningKeys
from app.jwt.settings import JwtSettings
from app.security.principal import Principal

TOKEN_TYPE = "at+jwt"  # noqa: S105 - the name of a media type
LEEWAY = timedelta(seconds=5)  # clocks of two machines are never quite the same
# Tokens that a process remembers to have checked: a token is shown with every request, and to check it costs an eighth of
# one that reads a row. What it says stays true, but for its end, which is looked at each time.
REMEMBERED = 4096
REQUIRED = ["iss", "aud", "sub", "sid", "iat", "nbf", "exp", "jti", "scope"]


class InvalidToken(UnauthenticatedError):
    """The access token is not ours, not for us, or too old. Which of them is not told."""

    message = "The access token is not valid, or has expired. Sign in again."


class AccessTokens:
    """Issues access tokens, and tells whose they are."""

    def __init__(self, settings: JwtSettings, keys: SigningKeys) -> None:
        """Sign with these keys, for as long as the settings say."""
        self.keys = keys
        self.lifetime = timedelta(minutes=settings.access_token_minutes)
        self._issuer = settings.issuer
        self._audience = settings.audience
        self._checked = lru_cache(REMEMBERED)(self._check)

    def issue(self, user_id: UUID, session_id: UUID, scopes: Iterable[str]) -> str:
        """Make a token for a user.

        Args:
            user_id: Whose it is.
            session_id: The sign-in it comes from.
            scopes: What it may be used for.
        """
        now = datetime.now(UTC)
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(user_id),
            "sid": str(session_id),
            "scope": " ".join(sorted(scopes)),
            "iat": now,
            "nbf": now,
            "exp": now + self.lifetime,
            "jti": str(uuid4()),
        }
        return self.keys.sign(claims, TOKEN_TYPE)

    def verify(self, token: str) -> Principal:
        """Tell whose token this is.

        Raises:
            InvalidToken: If it is not good, for whatever reason.
        """
        principal = self._checked(token)
        if principal.expires_at <= datetime.now(UTC) - LEEWAY:
            raise InvalidToken
        return principal

    def _check(self, token: str) -> Principal:
        try:
            claims = self.keys.verify(
                token,
                TOKEN_TYPE,
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY,
                options={"require": REQUIRED, "strict_aud": True},
            )
            return Principal(
                user_id=UUID(str(claims["sub"])),
                session_id=UUID(str(claims["sid"])),
                scopes=frozenset(str(claims["scope"]).split()),
                expires_at=datetime.fromtimestamp(int(claims["exp"]), UTC),
            )
        except (jwt.PyJWTError, ValueError, OverflowError):
            raise InvalidToken from None
