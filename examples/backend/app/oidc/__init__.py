"""OpenID Connect client: requests to identity providers, and verification of their tokens."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx2
from fastapi import FastAPI

from app.core.config import load
from app.oidc.providers import Providers
from app.oidc.settings import OidcSettings


def prepare_development() -> None:
    """Do nothing: the settings default to the development provider."""


def setup(app: FastAPI) -> None:
    """Do nothing: the routes are in `app/modules/identity`."""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Open the HTTP transport for providers, which connects on first use."""
    async with httpx2.AsyncHTTPTransport() as transport:
        app.state.oidc = Providers(load(OidcSettings), transport)
        yield
