"""Requests to a provider that the login flows in tests/modules/identity do not cover."""

import asyncio
from typing import Any

import httpx2
import pytest

from app import oidc
from app.core.config import Settings, load
from app.core.runtime import Runtime
from app.oidc.provider import LoginRefused, LoginSecrets, Provider, ProviderUnavailable
from app.oidc.providers import Providers
from tests.identity_provider import IdentityProvider
from tests.oidc.conftest import REDIRECT_URI, providers_for

LOGIN_SECRETS = LoginSecrets(REDIRECT_URI, nonce="n" * 43, code_verifier="v" * 43)


async def test_app_starts_without_contacting_providers() -> None:
    runtime = Runtime(load(Settings))
    assert oidc.feature.lifespan is not None
    async with oidc.feature.lifespan(runtime):
        [provider] = runtime[Providers]
        assert provider.settings.name == "dev"


async def test_hanging_provider_times_out(provider: IdentityProvider) -> None:
    class HangingTransport(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            return await asyncio.Future()

    acme = Provider(providers_for(provider).get("acme").settings, HangingTransport(), timeout_seconds=0.01)
    with pytest.raises(ProviderUnavailable):
        await acme.metadata()


@pytest.mark.parametrize("status", [200, 302, 404, 500])
async def test_invalid_metadata_means_unavailable(provider: IdentityProvider, status: int) -> None:
    def respond(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, text="Oops", headers={"Location": "https://evil.example/"})

    settings = providers_for(provider).get("acme").settings
    with pytest.raises(ProviderUnavailable):
        await Provider(settings, httpx2.MockTransport(respond)).metadata()


async def test_client_authentication_follows_the_metadata(providers: Providers, provider: IdentityProvider) -> None:
    requests = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        return httpx2.Response(401, json={"error": "invalid_client"})

    provider.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    acme = providers.get("acme")
    await acme.metadata()
    acme._transport = httpx2.MockTransport(respond)
    with pytest.raises(LoginRefused):
        await acme.exchange_code("code", provider.issuer, LOGIN_SECRETS)

    [request] = requests
    assert b"client_secret=development" in request.content
    assert "authorization" not in request.headers


@pytest.mark.parametrize("tokens", [{"access_token": "any"}, {"id_token": "any"}, ["any"]])
async def test_missing_tokens_mean_unavailable(providers: Providers, provider: IdentityProvider, tokens: Any) -> None:
    acme = providers.get("acme")
    await acme.metadata()
    acme._transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json=tokens))

    with pytest.raises(ProviderUnavailable):
        await acme.exchange_code("code", provider.issuer, LOGIN_SECRETS)


async def test_secrets_are_not_shown(providers: Providers) -> None:
    assert "development" not in repr([*providers, providers.settings, vars(providers.get("acme"))])
