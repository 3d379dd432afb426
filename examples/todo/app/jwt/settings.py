"""Settings of sign-in by password."""

import secrets
from functools import cache
from pathlib import Path

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from app.core.config import Environment, EnvSettings
from app.jwt.guessing import judge
from app.jwt.keys import SigningKeys, read_keys, read_public_keys
from app.security.settings import Rate

SECRET_BYTES = 32  # as many as the hash has (RFC 7518 §3.2)
# For 32 random characters zxcvbn needs more than 10^28 guesses, for what people type fewer.
GUESSES_LOG10 = 27.5
# Random, and in the FastAPI documentation (Security, OAuth2 with Password).
KNOWN_TO_ALL = "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"
KEYS = ("secret_key", "keys_file", "public_keys_file")


class JwtSettings(EnvSettings):
    """What signs the access tokens, how long they are good for, and what a password must be like."""

    model_config = SettingsConfigDict(env_prefix="JWT_")

    secret_key: SecretStr | None = Field(default=None, description="Signs with HS256. `app keys secret` makes one.")
    keys_file: Path | None = Field(default=None, description="Signs with EdDSA. `app keys generate` makes one.")
    public_keys_file: Path | None = Field(default=None, description="Signs nothing. `app keys public` makes one.")
    issuer: str = Field(default="app", min_length=1, description="Who signs: `iss` of the tokens.")
    audience: str = Field(default="app", min_length=1, description="Whom the tokens are for: `aud`.")
    access_token_minutes: int = Field(default=15, ge=1, le=60, description="A stolen one works for so long.")
    refresh_grace_seconds: int = Field(
        default=10, ge=0, le=60, description="A second use of a refresh token counts as haste for so long."
    )
    # NIST SP 800-63B-4 §3.1.1.2: 15 if the password is all that is asked for, 8 beside a second factor.
    password_min_length: int = Field(default=15, ge=8, le=64, description="Shortest new password, in characters.")
    hashing_threads: int = Field(default=2, ge=1, description="Passwords hashed at a time; each takes 64 MiB.")

    account_limit: Rate = Field(default="10/15 minutes", description="Attempts on one account from one network.")
    account_total_limit: Rate = Field(default="50/hour", description="Attempts on one account from anywhere.")

    @field_validator(*KEYS, mode="before")
    @classmethod
    def _take_empty_for_unset(cls, value: object) -> object:
        """Let a container say that it has none, whatever the .env says that it shares with others."""
        return value or None

    @model_validator(mode="after")
    def _require_usable_keys(self) -> "JwtSettings":
        """Refuse what could not sign, or what others could sign with."""
        given = [self.variable(name) for name in KEYS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{given[0]}: must not be set beside {given[1]}")
        if not given and self.env is Environment.PROD:
            raise ValueError("JWT_SECRET_KEY: must be set, or JWT_KEYS_FILE. Make one: app keys secret")
        if self.secret_key is not None:
            _refuse_guessable(self.secret_key.get_secret_value(), self.env)
        self.signing_keys()
        return self

    def signing_keys(self) -> SigningKeys:
        """Read the keys.

        Raises:
            ValueError: If the file does not hold any; it says why, and never what the file holds.
        """
        for name, read in (("keys_file", read_keys), ("public_keys_file", read_public_keys)):
            if (file := getattr(self, name)) is not None:
                try:
                    return SigningKeys.ed25519(read(file))
                except ValueError as error:
                    raise ValueError(f"{self.variable(name)}: {error}") from None
        return SigningKeys.hs256(self.secret_key.get_secret_value() if self.secret_key else development_secret())


def _refuse_guessable(secret: str, env: Environment) -> None:
    if len(secret.encode()) < SECRET_BYTES:
        raise ValueError(f"JWT_SECRET_KEY: must have {SECRET_BYTES} bytes or more. Make one: app keys secret")
    if env is Environment.PROD and (secret == KNOWN_TO_ALL or _guesses_log10(secret) < GUESSES_LOG10):
        raise ValueError("JWT_SECRET_KEY: is a placeholder or easy to guess. Make one: app keys secret")


def _guesses_log10(secret: str) -> float:
    return float(judge(secret[:SECRET_BYTES])["guesses_log10"])


def new_secret_key() -> str:
    """Make a secret to sign with, twice as long as it must be at least."""
    return secrets.token_urlsafe(2 * SECRET_BYTES)


@cache
def development_secret() -> str:
    """Return the secret of this process, which signs where none is set: never in production."""
    return new_secret_key()
