"""Sign-in with OpenID providers: talking to them, and reading their tokens."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx2
from fastapi import FastAPI

from app.core.config import load
from app.oidc.providers import Providers
from app.oidc.settings import OidcSettings


def prepare_development() -> None:
    """Nothing: the settings know the development provider."""


def setup(app: FastAPI) -> None:
    """Attach nothing: the routes are the module's."""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Keep connections to the providers. They are opened when they are first used."""
    async with httpx2.AsyncHTTPTransport() as transport:
        app.state.oidc = Providers(load(OidcSettings), transport)
        yield
