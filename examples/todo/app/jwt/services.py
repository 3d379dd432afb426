"""What several services must not share: in production, only one of them can sign."""

from pydantic import model_validator

from app.core.config import Environment
from app.jwt.settings import JwtSettings


class ServicesJwtSettings(JwtSettings):
    """The same settings, held to more."""

    @model_validator(mode="after")
    def _refuse_a_shared_secret(self) -> "ServicesJwtSettings":
        """Refuse what every service would have to know, and could sign with."""
        if self.env is Environment.PROD and self.secret_key is not None:
            raise ValueError(
                "JWT_SECRET_KEY: must not be set: every service would know it, and could sign. "
                "Set JWT_KEYS_FILE for auth, and JWT_PUBLIC_KEYS_FILE for all others"
            )
        return self
