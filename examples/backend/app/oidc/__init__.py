"""OpenID Connect client: requests to identity providers, and verification of their tokens."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx2

from app.core.config import load
from app.core.runtime import Feature, Runtime
from app.oidc.providers import Providers
from app.oidc.settings import OidcSettings


@asynccontextmanager
async def _lifespan(runtime: Runtime) -> AsyncGenerator[None]:
    """Open the HTTP transport for providers, which connects on first use."""
    async with httpx2.AsyncHTTPTransport() as transport:
        runtime[Providers] = Providers(load(OidcSettings), transport)
        yield


feature = Feature(lifespan=_lifespan)
