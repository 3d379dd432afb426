"""Password hashing and access tokens for sign-in with a password.

This package has no endpoints; these are in `app/modules/password` and `app/modules/token`.
"""

import os

from fastapi import FastAPI

from app.core.config import load
from app.core.runtime import Feature, Runtime
from app.jwt.access_tokens import AccessTokens
from app.jwt.passwords import Passwords
from app.jwt.settings import KEY_SETTINGS, JwtSettings, development_secret


def prepare_development() -> None:
    """Create a secret for this run of the server, so that sessions survive a reload."""
    settings = load(JwtSettings)
    if all(getattr(settings, name) is None for name in KEY_SETTINGS):
        os.environ["JWT_SECRET_KEY"] = development_secret()


def _setup(_: FastAPI, runtime: Runtime) -> None:
    """Load the keys. Changes to the key file require a restart."""
    settings = runtime[JwtSettings] = load(JwtSettings)
    runtime[AccessTokens] = AccessTokens(settings, settings.signing_keys())
    runtime[Passwords] = Passwords(settings)


feature = Feature(setup=_setup, prepare_development=prepare_development, commands=("app.jwt.commands",))
