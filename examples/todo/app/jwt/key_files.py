"""Requires key files in production: with a shared secret, every service could sign tokens."""

from fastapi import FastAPI

from app.core.config import ConfigurationError, Environment
from app.core.runtime import Feature, Runtime
from app.jwt.settings import JwtSettings


def _setup(_: FastAPI, runtime: Runtime) -> None:
    settings = runtime[JwtSettings]
    if settings.env is Environment.PROD and settings.secret_key is not None:
        raise ConfigurationError(
            "JWT_SECRET_KEY: is not allowed, since every service could sign tokens with it. "
            "Set JWT_KEYS_FILE for auth, and JWT_PUBLIC_KEYS_FILE for all other services."
        )


feature = Feature(setup=_setup)
