"""Sign-in by password: how passwords are kept, and what signs the access tokens.

The mechanism only; what one can do with it is `app/modules/password`.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.core.config import load
from app.jwt.access_tokens import AccessTokens
from app.jwt.passwords import Passwords
from app.jwt.settings import KEYS, JwtSettings, development_secret


def prepare_development() -> None:
    """Sign with one secret as long as the server runs, so that a reload signs nobody out."""
    settings = load(JwtSettings)
    if all(getattr(settings, name) is None for name in KEYS):
        os.environ["JWT_SECRET_KEY"] = development_secret()


def setup(app: FastAPI) -> None:
    """Read the keys. Other keys in the file are noticed with the next start."""
    settings = load(JwtSettings)
    app.state.jwt = settings
    app.state.access_tokens = AccessTokens(settings, settings.signing_keys())
    app.state.passwords = Passwords(settings)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:  # noqa: ARG001 - every feature is called alike
    """Open nothing: there are keys and threads, and no connections."""
    yield
