"""Client of an OpenID provider (authorization code flow with PKCE)."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import structlog
from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuthError
from jwt import PyJWKSet, PyJWTError

from app.core.exceptions import UnauthenticatedError, UnavailableError
from app.oidc.cache import Cached
from app.oidc.claims import ProviderMetadata, ProviderUser
from app.oidc.jwks import InvalidToken, Jwks
from app.oidc.settings import ProviderSettings

TIMEOUT_SECONDS = 10
METADATA_CACHE_SECONDS = 3600

logger = structlog.get_logger(__name__)


class ProviderUnavailable(UnavailableError):
    """The provider is unavailable, or its response is invalid."""

    message = "The identity provider is unavailable. Try again later."


class LoginRefused(UnauthenticatedError):
    """The response of the provider does not confirm the sign-in."""

    message = "The identity provider did not confirm the sign-in. Try again."


@dataclass(frozen=True)
class LoginSecrets:
    """The secrets of a sign-in in progress."""

    redirect_uri: str
    nonce: str
    code_verifier: str


class Provider:
    """An OpenID provider."""

    def __init__(
        self,
        settings: ProviderSettings,
        transport: httpx2.AsyncBaseTransport,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        """Create the client. It sends no request yet, so the app starts even if the provider is unavailable."""
        self.settings = settings
        self.keys = Jwks(self._fetch_keys)
        self._transport = transport
        self._timeout_seconds = timeout_seconds
        self._http = httpx2.AsyncClient(transport=transport, timeout=timeout_seconds)
        self._metadata = Cached(self._discover)

    async def login_url(self, secrets: LoginSecrets, state: str) -> str:
        """Return the authorization URL.

        Raises:
            ProviderUnavailable: If the metadata of the provider cannot be fetched.
        """
        metadata = await self.metadata()
        url, _ = self._client(metadata, secrets).create_authorization_url(
            metadata.authorization_endpoint, state=state, nonce=secrets.nonce, code_verifier=secrets.code_verifier
        )
        return str(url)

    async def exchange_code(self, code: str, issuer: str | None, secrets: LoginSecrets) -> tuple[ProviderUser, str]:
        """Exchange an authorization code for the user.

        Args:
            code: The authorization code from the callback.
            issuer: The issuer from the callback (RFC 9207).
            secrets: The secrets of the sign-in in progress.

        Returns:
            The user, and the ID token.

        Raises:
            LoginRefused: If the provider did not confirm the sign-in.
            ProviderUnavailable: If the provider is unavailable.
        """
        metadata = await self.metadata()
        expected = metadata.issuer if metadata.authorization_response_iss_parameter_supported else None
        if issuer not in (metadata.issuer, expected):
            raise LoginRefused
        try:
            async with self._provider_errors():
                tokens = await self._client(metadata, secrets).fetch_token(
                    metadata.token_endpoint,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=secrets.code_verifier,
                )
                id_token, access_token = str(tokens["id_token"]), str(tokens["access_token"])
            claims = await self._read_id_token(id_token, secrets.nonce)
        except (OAuthError, InvalidToken) as error:
            logger.warning("sign-in rejected", provider=self.settings.name, error=str(error))
            raise LoginRefused from None
        return await self.fetch_user(claims, access_token), id_token

    async def fetch_user(self, claims: dict[str, Any], access_token: str) -> ProviderUser:
        """Return the user of a token. If the token has no email address, query the userinfo endpoint.

        Raises:
            ProviderUnavailable: If the provider is unavailable.
        """
        endpoint = (await self.metadata()).userinfo_endpoint
        if "email" not in claims and endpoint is not None:
            async with self._provider_errors():
                headers = {"Authorization": f"Bearer {access_token}"}
                response = await self._http.get(endpoint, headers=headers)
                userinfo = {} if response.is_client_error else dict(response.raise_for_status().json())
            if userinfo.get("sub") == claims["sub"]:  # OpenID Connect Core §5.3.2: the response may be for another user
                claims = userinfo | claims
        return ProviderUser.from_claims(claims, self.settings.verified_claim)

    async def logout_url(self, id_token: str, return_to: str) -> str | None:
        """Return the URL for signing out at the provider, if it supports that.

        Raises:
            ProviderUnavailable: If the metadata of the provider cannot be fetched.
        """
        endpoint = (await self.metadata()).end_session_endpoint
        params = {"id_token_hint": id_token, "post_logout_redirect_uri": return_to}
        return endpoint and str(httpx2.URL(endpoint).copy_merge_params(params))

    async def metadata(self) -> ProviderMetadata:
        """Return the metadata of the provider, which is cached.

        Raises:
            ProviderUnavailable: If the provider is unavailable.
        """
        return await self._metadata.get(METADATA_CACHE_SECONDS)

    async def _discover(self) -> ProviderMetadata:
        async with self._provider_errors():
            metadata = ProviderMetadata.model_validate(
                await self._fetch(f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration")
            )
            if metadata.issuer != self.settings.issuer:
                raise ValueError("the issuer in the metadata does not match")
            return metadata

    async def _fetch_keys(self) -> PyJWKSet:
        metadata = await self.metadata()
        async with self._provider_errors():
            return PyJWKSet.from_dict(await self._fetch(metadata.jwks_uri))

    async def _fetch(self, url: str) -> dict[str, Any]:
        return dict((await self._http.get(url)).raise_for_status().json())

    async def _read_id_token(self, token: str, nonce: str) -> dict[str, Any]:
        client_id = self.settings.client_id
        claims = await self.keys.verify(token, self.settings.issuer, client_id)
        authorized_party = claims.get("azp", client_id if claims["aud"] in (client_id, [client_id]) else None)
        if claims.get("nonce") != nonce or authorized_party != client_id:
            raise InvalidToken
        return claims

    def _client(self, metadata: ProviderMetadata, secrets: LoginSecrets) -> AsyncOAuth2Client:
        """Create an OAuth client for one sign-in. It stores tokens and must not be shared."""
        basic = "client_secret_basic" in metadata.token_endpoint_auth_methods_supported
        return AsyncOAuth2Client(
            self.settings.client_id,
            self.settings.client_secret.get_secret_value(),
            token_endpoint_auth_method="client_secret_basic" if basic else "client_secret_post",
            scope=self.settings.scopes,
            redirect_uri=secrets.redirect_uri,
            code_challenge_method="S256",
            transport=self._transport,
            timeout=self._timeout_seconds,
        )

    @asynccontextmanager
    async def _provider_errors(self) -> AsyncGenerator[None]:
        """Set a timeout for requests to the provider, and convert their errors; the reason is only logged."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                yield
        except (
            httpx2.HTTPError,
            httpx2.InvalidURL,
            TimeoutError,
            LookupError,
            ValueError,
            TypeError,
            PyJWTError,
        ) as error:
            reason = f"{type(error).__name__}: {error}"
            logger.warning("identity provider unavailable", provider=self.settings.name, error=reason)
            raise ProviderUnavailable from None
