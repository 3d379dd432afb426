"""The configured OpenID providers."""

from collections.abc import Iterator

import httpx2

from app.core.exceptions import NotFoundError
from app.oidc.provider import Provider
from app.oidc.settings import OidcSettings


class ProviderNotFound(NotFoundError):
    """There is no provider with this name."""

    message = "Identity provider not found."


class Providers:
    """All configured providers."""

    def __init__(self, settings: OidcSettings, transport: httpx2.AsyncBaseTransport) -> None:
        """Create the providers with a shared transport; tests pass an in-process one."""
        self.settings = settings
        self._providers = [Provider(provider, transport) for provider in settings.providers]

    def __iter__(self) -> Iterator[Provider]:
        return iter(self._providers)

    def get(self, name: str) -> Provider:
        """Return a provider by name.

        Raises:
            ProviderNotFound: If there is no provider with this name.
        """
        for provider in self:
            if provider.settings.name == name:
                return provider
        raise ProviderNotFound
