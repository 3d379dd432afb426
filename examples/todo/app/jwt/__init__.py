"""Password hashing and access tokens for sign-in with a password.

This package has no endpoints; these are in `app/modules/password` and `app/modules/token`.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.core.config import load
from app.jwt.access_tokens import AccessTokens
from app.jwt.passwords import Passwords
from app.jwt.settings import KEY_SETTINGS, JwtSettings, development_secret


def prepare_development() -> None:
    """Create a secret for this run of the server, so that sessions survive a reload."""
    settings = load(JwtSettings)
    if all(getattr(settings, name) is None for name in KEY_SETTINGS):
        os.environ["JWT_SECRET_KEY"] = development_secret()


def setup(app: FastAPI) -> None:
    """Load the keys. Changes to the key file require a restart."""
    settings = load(JwtSettings)
    app.state.jwt = settings
    app.state.access_tokens = AccessTokens(settings, settings.signing_keys())
    app.state.passwords = Passwords(settings)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:  # noqa: ARG001 - part of the feature interface
    """Do nothing: there are no connections to open."""
    yield
