"""The provider of the tests is strict and rejects invalid flows."""

import base64
import hashlib
from typing import Any

import pytest
from httpx2 import URL, ASGITransport, AsyncClient, Response

from tests import identity_provider
from tests.identity_provider import IdentityProvider, Person
from tests.oidc.conftest import REDIRECT_URI

CODE_VERIFIER = "v" * 43
AUTHORIZATION_PARAMETERS = {
    "response_type": "code",
    "client_id": "app",
    "redirect_uri": REDIRECT_URI,
    "scope": "openid",
    "state": "state",
    "nonce": "nonce",
    "code_challenge_method": "S256",
    "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(CODE_VERIFIER.encode()).digest()).decode().rstrip("="),
}
LOGIN_FORM = {"email": "ada@example.com", "name": "Ada", "verified": "on"}


@pytest.fixture
def provider_client(provider: IdentityProvider) -> AsyncClient:
    return AsyncClient(transport=ASGITransport(provider.app()), base_url=provider.issuer)


async def authorize(provider_client: AsyncClient, **changes: str) -> Response:
    return await provider_client.get("/authorize", params=AUTHORIZATION_PARAMETERS | changes)


async def exchange(provider_client: AsyncClient, code: str, knows_secret: bool = True, **changes: str) -> Response:
    form = {
        "grant_type": "authorization_code",
        "redirect_uri": REDIRECT_URI,
        "code_verifier": CODE_VERIFIER,
        "code": code,
    }
    return await provider_client.post(
        "/token", data=form | changes, auth=("app", "development" if knows_secret else "other")
    )


async def get_code(provider_client: AsyncClient) -> str:
    return URL((await authorize(provider_client)).headers["location"]).params["code"]


@pytest.mark.parametrize("changes", [{"client_id": "other"}, {"redirect_uri": f"{REDIRECT_URI}/"}])
async def test_unknown_client_or_redirect_uri_is_rejected(
    provider_client: AsyncClient, changes: dict[str, str]
) -> None:
    assert (await authorize(provider_client, **changes)).status_code == 400


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "email"}, "invalid_scope"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
    ],
)
async def test_invalid_authorization_request_is_rejected(
    provider_client: AsyncClient, changes: dict[str, str], error: str
) -> None:
    response = URL((await authorize(provider_client, **changes)).headers["location"]).params

    assert (response["error"], response["state"], response["iss"]) == (error, "state", "https://id.example.com")


async def test_code_can_be_exchanged_only_once(provider_client: AsyncClient) -> None:
    once = await get_code(provider_client)

    assert (await exchange(provider_client, once)).status_code == 200
    assert (await exchange(provider_client, once)).json() == {"error": "invalid_grant"}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_grant"),
        ({"redirect_uri": "https://evil.example"}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"knows_secret": False}, "invalid_client"),
    ],
)
async def test_code_requires_the_credentials_of_the_request(
    provider_client: AsyncClient, changes: Any, error: str
) -> None:
    assert (await exchange(provider_client, await get_code(provider_client), **changes)).json() == {"error": error}


async def test_userinfo_requires_a_valid_token(provider_client: AsyncClient, provider: IdentityProvider) -> None:
    assert (await provider_client.get("/userinfo")).status_code == 401
    token = provider.access_token(Person("stranger", "stranger@example.com"))
    assert (await provider_client.get("/userinfo", headers={"Authorization": f"Bearer {token}"})).status_code == 401


async def test_development_page_accepts_any_user(provider_client: AsyncClient, provider: IdentityProvider) -> None:
    provider.person = None
    page = await authorize(provider_client, state='"><script>')
    assert "<form" in page.text
    assert "<script>" not in page.text

    await provider_client.post("/authorize", params=AUTHORIZATION_PARAMETERS, data=LOGIN_FORM)
    cancelled = await provider_client.post(
        "/authorize", params=AUTHORIZATION_PARAMETERS, data=LOGIN_FORM | {"cancel": "yes"}
    )
    assert [person.name for person in provider.people.values()] == ["Ada"]
    assert URL(cancelled.headers["location"]).params["error"] == "access_denied"


def test_provider_can_run_as_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Any] = []
    monkeypatch.setattr(identity_provider.uvicorn, "run", lambda app, **options: ran.append((app, options)))
    monkeypatch.setattr("sys.argv", ["identity_provider", "--port", "9001"])
    with pytest.raises(SystemExit):
        identity_provider.typer.run(identity_provider.main)

    assert ran[0][1] == {"host": "127.0.0.1", "port": 9001}
