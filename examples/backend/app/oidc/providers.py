"""The OpenID providers that people may sign in with."""

from collections.abc import Iterator

import httpx2

from app.core.exceptions import NotFoundError
from app.oidc.provider import Provider
from app.oidc.settings import OidcSettings


class ProviderNotFound(NotFoundError):
    """Nobody can sign in there."""

    message = "There is no identity provider with this name."


class Providers:
    """All providers that people may sign in with."""

    def __init__(self, settings: OidcSettings, transport: httpx2.AsyncBaseTransport) -> None:
        """Reach every provider through one transport; tests put the provider itself in its place."""
        self.settings = settings
        self._providers = [Provider(provider, transport) for provider in settings.providers]

    def __iter__(self) -> Iterator[Provider]:
        return iter(self._providers)

    def named(self, name: str) -> Provider:
        """Find a provider by its name.

        Raises:
            ProviderNotFound: If there is none.
        """
        for provider in self:
            if provider.settings.name == name:
                return provider
        raise ProviderNotFound
