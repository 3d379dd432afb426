"""Settings of passwords and access tokens."""

import secrets
from functools import cache
from pathlib import Path

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from app.core.config import Environment, EnvSettings
from app.jwt.keys import SigningKeys, read_keys, read_public_keys
from app.security.settings import Rate

SECRET_BYTES = 32  # at least the size of the hash output (RFC 7518 §3.2)
# zxcvbn estimates more than 10^28 guesses for 32 random characters, and fewer for typed text.
MIN_GUESSES_LOG10 = 27.5
# Random, but published in the FastAPI documentation (Security, OAuth2 with Password).
PUBLISHED_EXAMPLE_KEY = "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"
KEY_SETTINGS = ("secret_key", "keys_file", "public_keys_file")


class JwtSettings(EnvSettings):
    """Signing keys, token lifetimes, password rules and rate limits."""

    model_config = SettingsConfigDict(env_prefix="JWT_")

    secret_key: SecretStr | None = Field(default=None, description="Secret for HS256. `app keys secret` creates one.")
    keys_file: Path | None = Field(default=None, description="Keys for EdDSA. `app keys generate` creates them.")
    public_keys_file: Path | None = Field(default=None, description="Only verifies. `app keys public` creates it.")
    issuer: str = Field(default="app", min_length=1, description="Issuer (`iss`) of the tokens.")
    audience: str = Field(default="app", min_length=1, description="Audience (`aud`) of the tokens.")
    access_token_minutes: int = Field(default=15, ge=1, le=60, description="Access token lifetime, in minutes.")
    refresh_grace_seconds: int = Field(
        default=10, ge=0, le=60, description="Grace period for refresh token reuse, in seconds."
    )
    # NIST SP 800-63B-4 §3.1.1.2: 15 if the password is the only factor, 8 with a second factor.
    password_min_length: int = Field(default=15, ge=8, le=64, description="Minimum length of a new password.")
    hashing_threads: int = Field(default=2, ge=1, description="Passwords hashed concurrently; each needs 64 MiB.")

    account_limit: Rate = Field(default="10/15 minutes", description="Limit per account and network.")
    account_total_limit: Rate = Field(default="50/hour", description="Limit per account in total.")

    @field_validator(*KEY_SETTINGS, mode="before")
    @classmethod
    def _treat_empty_as_unset(cls, value: object) -> object:
        """Treat empty values as unset, so that a container can override a shared .env file."""
        return value or None

    @model_validator(mode="after")
    def _require_usable_keys(self) -> "JwtSettings":
        """Require exactly one usable kind of key, and reject guessable secrets."""
        configured = [self.variable(name) for name in KEY_SETTINGS if getattr(self, name) is not None]
        if len(configured) > 1:
            raise ValueError(f"{configured[0]}: must not be set together with {configured[1]}")
        if not configured and self.env is Environment.PROD:
            raise ValueError("JWT_SECRET_KEY: must be set, or JWT_KEYS_FILE. To create one: app keys secret")
        if self.secret_key is not None:
            _reject_guessable(self.secret_key.get_secret_value(), self.env)
        self.signing_keys()
        return self

    def signing_keys(self) -> SigningKeys:
        """Load the keys.

        Raises:
            ValueError: If the key file is invalid. The message does not contain its content.
        """
        for name, read in (("keys_file", read_keys), ("public_keys_file", read_public_keys)):
            if (file := getattr(self, name)) is not None:
                try:
                    return SigningKeys.ed25519(read(file))
                except ValueError as error:
                    raise ValueError(f"{self.variable(name)}: {error}") from None
        return SigningKeys.hs256(self.secret_key.get_secret_value() if self.secret_key else development_secret())


def _reject_guessable(secret: str, env: Environment) -> None:
    if len(secret.encode()) < SECRET_BYTES:
        raise ValueError(f"JWT_SECRET_KEY: must have {SECRET_BYTES} bytes or more. To create one: app keys secret")
    if env is Environment.PROD and (secret == PUBLISHED_EXAMPLE_KEY or _guesses_log10(secret) < MIN_GUESSES_LOG10):
        raise ValueError("JWT_SECRET_KEY: is a placeholder or easy to guess. To create one: app keys secret")


def _guesses_log10(secret: str) -> float:
    from zxcvbn import zxcvbn  # noqa: PLC0415 - large; see `estimate_strength` in app/jwt/passwords.py

    return float(zxcvbn(secret[:SECRET_BYTES])["guesses_log10"])


def new_secret_key() -> str:
    """Return a new random secret, twice the minimum length."""
    return secrets.token_urlsafe(2 * SECRET_BYTES)


@cache
def development_secret() -> str:
    """Return the secret of this process, which is used outside production if no key is set."""
    return new_secret_key()
