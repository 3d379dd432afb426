"""An OpenID provider, as this service talks to it (authorization code flow with PKCE)."""

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
from app.oidc.jwks import InvalidToken, Jwks
from app.oidc.settings import ProviderSettings
from app.oidc.statements import Metadata, Person

PATIENCE_SECONDS = 10
METADATA_KEPT_SECONDS = 3600

logger = structlog.get_logger(__name__)


class ProviderUnavailable(UnavailableError):
    """The provider does not answer, or not as a provider should."""

    message = "The identity provider does not answer just now. Try again in a moment."


class LoginRefused(UnauthenticatedError):
    """The provider's answer does not prove who it is."""

    message = "The identity provider did not confirm the sign-in. Try again."


@dataclass(frozen=True)
class Attempt:
    """The secrets of one sign-in that is under way."""

    redirect_uri: str
    nonce: str
    code_verifier: str


class Provider:
    """One provider."""

    def __init__(
        self,
        settings: ProviderSettings,
        transport: httpx2.AsyncBaseTransport,
        timeout_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Ask nothing yet: a provider that is away does not stop the start."""
        self.settings = settings
        self.keys = Jwks(self._fetch_keys)
        self._transport = transport
        self._timeout_seconds = timeout_seconds
        self._http = httpx2.AsyncClient(transport=transport, timeout=timeout_seconds)
        self._metadata = Cached(self._discover)

    async def login_url(self, attempt: Attempt, state: str) -> str:
        """Return where somebody signs in.

        Raises:
            ProviderUnavailable: If the provider cannot be asked where that is.
        """
        metadata = await self.metadata()
        url, _ = self._client(metadata, attempt).create_authorization_url(
            metadata.authorization_endpoint, state=state, nonce=attempt.nonce, code_verifier=attempt.code_verifier
        )
        return str(url)

    async def redeem(self, code: str, issuer: str | None, attempt: Attempt) -> tuple[Person, str]:
        """Learn who has signed in.

        Args:
            code: What the browser has brought back.
            issuer: Who the browser says has sent it (RFC 9207).
            attempt: What it was sent away with.

        Returns:
            The person, and the ID token that says so.

        Raises:
            LoginRefused: If the answer does not prove who it is.
            ProviderUnavailable: If the provider does not answer.
        """
        metadata = await self.metadata()
        expected = metadata.issuer if metadata.authorization_response_iss_parameter_supported else None
        if issuer not in (metadata.issuer, expected):
            raise LoginRefused
        try:
            async with self._asking():
                tokens = await self._client(metadata, attempt).fetch_token(
                    metadata.token_endpoint,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=attempt.code_verifier,
                )
                id_token, access_token = str(tokens["id_token"]), str(tokens["access_token"])
            claims = await self._read_id_token(id_token, attempt.nonce)
        except (OAuthError, InvalidToken) as error:
            logger.warning("sign-in not confirmed", provider=self.settings.name, error=str(error))
            raise LoginRefused from None
        return await self.person(claims, access_token), id_token

    async def person(self, claims: dict[str, Any], access_token: str) -> Person:
        """Describe whom a token is about; what it does not say the provider is asked for.

        Raises:
            ProviderUnavailable: If the provider does not answer.
        """
        endpoint = (await self.metadata()).userinfo_endpoint
        if "email" not in claims and endpoint is not None:
            async with self._asking():
                headers = {"Authorization": f"Bearer {access_token}"}
                answer = await self._http.get(endpoint, headers=headers)
                more = {} if answer.is_client_error else dict(answer.raise_for_status().json())
            if more.get("sub") == claims["sub"]:  # OpenID Connect Core §5.3.2: it may be about somebody else
                claims = more | claims
        return Person.described(claims, self.settings.verified_claim)

    async def logout_url(self, id_token: str, return_to: str) -> str | None:
        """Return where one signs out at the provider too, if it has such a place.

        Raises:
            ProviderUnavailable: If the provider cannot be asked where that is.
        """
        endpoint = (await self.metadata()).end_session_endpoint
        params = {"id_token_hint": id_token, "post_logout_redirect_uri": return_to}
        return endpoint and str(httpx2.URL(endpoint).copy_merge_params(params))

    async def metadata(self) -> Metadata:
        """Return what the provider says about itself.

        Raises:
            ProviderUnavailable: If it does not answer.
        """
        return await self._metadata.get(METADATA_KEPT_SECONDS)

    async def _discover(self) -> Metadata:
        async with self._asking():
            metadata = Metadata.model_validate(
                await self._fetch(f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration")
            )
            if metadata.issuer != self.settings.issuer:
                raise ValueError("another issuer answers")
            return metadata

    async def _fetch_keys(self) -> PyJWKSet:
        metadata = await self.metadata()
        async with self._asking():
            return PyJWKSet.from_dict(await self._fetch(metadata.jwks_uri))

    async def _fetch(self, url: str) -> dict[str, Any]:
        return dict((await self._http.get(url)).raise_for_status().json())

    async def _read_id_token(self, token: str, nonce: str) -> dict[str, Any]:
        client_id = self.settings.client_id
        claims = await self.keys.verify(token, self.settings.issuer, client_id)
        party = claims.get("azp", client_id if claims["aud"] in (client_id, [client_id]) else None)
        if claims.get("nonce") != nonce or party != client_id:
            raise InvalidToken
        return claims

    def _client(self, metadata: Metadata, attempt: Attempt) -> AsyncOAuth2Client:
        """Make the client of one sign-in: it remembers the tokens that it fetches."""
        basic = "client_secret_basic" in metadata.token_endpoint_auth_methods_supported
        return AsyncOAuth2Client(
            self.settings.client_id,
            self.settings.client_secret.get_secret_value(),
            token_endpoint_auth_method="client_secret_basic" if basic else "client_secret_post",
            scope=self.settings.scopes,
            redirect_uri=attempt.redirect_uri,
            code_challenge_method="S256",
            transport=self._transport,
            timeout=self._timeout_seconds,
        )

    @asynccontextmanager
    async def _asking(self) -> AsyncGenerator[None]:
        """Wait for the provider, but not for ever; why it fails is for the log."""
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
