"""Browsers that sign in with an in-process identity provider."""

from collections.abc import AsyncGenerator

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient

from app.core.runtime import runtime_of
from app.oidc.providers import Providers
from app.oidc.settings import OidcSettings, ProviderSettings
from tests.identity_provider import IdentityProvider, Person
from tests.oidc.conftest import clock

__all__ = ["clock"]

SERVICE_URL = "http://127.0.0.1:8000"


@pytest.fixture
def provider() -> IdentityProvider:
    return IdentityProvider(
        redirect_uris=(f"{SERVICE_URL}/api/v1/auth/callback/acme",),
        post_logout_redirect_uris=(f"{SERVICE_URL}/",),
        person=Person("ada", "ada@example.com"),
    )


def provider_settings(provider: IdentityProvider, name: str = "acme") -> ProviderSettings:
    """The settings of the provider."""
    return ProviderSettings.model_validate(
        {
            "name": name,
            "issuer": provider.issuer,
            "client_id": provider.client_id,
            "client_secret": provider.client_secret,
            "audience": provider.audience,
        }
    )


@pytest.fixture
def app(app: FastAPI, provider: IdentityProvider) -> FastAPI:
    """The application, connected to the provider without a network."""
    runtime_of(app)[Providers] = Providers(
        OidcSettings(providers=(provider_settings(provider),)), ASGITransport(provider.app())
    )
    return app


def open_browser(app: FastAPI, provider: IdentityProvider, url: str = SERVICE_URL) -> AsyncClient:
    """A browser that can reach the application and the provider, and keeps cookies."""
    mounts = {provider.issuer: ASGITransport(provider.app())}
    return AsyncClient(transport=ASGITransport(app), mounts=mounts, base_url=url)


@pytest.fixture
async def browser(app: FastAPI, provider: IdentityProvider) -> AsyncGenerator[AsyncClient]:
    async with open_browser(app, provider) as browser:
        yield browser


@pytest.fixture
async def another_browser(app: FastAPI, provider: IdentityProvider) -> AsyncGenerator[AsyncClient]:
    async with open_browser(app, provider) as browser:
        yield browser
