"""An in-process provider."""

import pytest
from httpx2 import ASGITransport

from app.oidc.providers import Providers
from app.oidc.settings import OidcSettings, ProviderSettings
from tests.identity_provider import IdentityProvider, Person

REDIRECT_URI = "https://app.example.com/callback"


@pytest.fixture
def provider() -> IdentityProvider:
    return IdentityProvider(redirect_uris=(REDIRECT_URI,), person=Person("ada", "ada@example.com"))


def providers_for(provider: IdentityProvider, **changes: object) -> Providers:
    """Return the providers of an app that is configured with this provider."""
    settings = {
        "name": "acme",
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "client_secret": provider.client_secret,
        "audience": provider.audience,
    }
    known = ProviderSettings.model_validate(settings | changes)
    return Providers(OidcSettings(providers=(known,)), ASGITransport(provider.app()))


@pytest.fixture
def providers(provider: IdentityProvider) -> Providers:
    return providers_for(provider)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of the cache."""
    time = [0.0]
    monkeypatch.setattr("app.oidc.cache.monotonic", lambda: time[0])
    return time
