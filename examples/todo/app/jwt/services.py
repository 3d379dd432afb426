"""Additional JWT settings of the services topology: in production, only one service can sign tokens."""

from pydantic import model_validator

from app.core.config import Environment
from app.jwt.settings import JwtSettings


class ServicesJwtSettings(JwtSettings):
    """JWT settings with an additional check for production."""

    @model_validator(mode="after")
    def _reject_shared_secret(self) -> "ServicesJwtSettings":
        """Reject a shared secret, since every service could sign tokens with it."""
        if self.env is Environment.PROD and self.secret_key is not None:
            raise ValueError(
                "JWT_SECRET_KEY: must not be set, since every service could sign tokens with it. "
                "Set JWT_KEYS_FILE for auth, and JWT_PUBLIC_KEYS_FILE for all others"
            )
        return self
