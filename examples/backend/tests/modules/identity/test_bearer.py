"""Requests with an access token of the provider."""

from typing import Any
from uuid import UUID

import pytest
from httpx2 import AsyncClient, Response
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.modules.auth.models import Role
from app.modules.auth.service import AuthService
from app.modules.user.models import User
from tests.identity_provider import IdentityProvider, Person
from tests.modules.identity.steps import AUTH, sign_in

ADA = Person("ada", "ada@example.com")


def bearer_headers(provider: IdentityProvider, **claims: Any) -> dict[str, str]:
    provider.people[ADA.sub] = ADA
    return {"Authorization": f"Bearer {provider.access_token(ADA, **claims)}"}


async def create_account(client: AsyncClient, provider: IdentityProvider, **claims: Any) -> Response:
    return await client.post(f"{AUTH}/accounts", headers=bearer_headers(provider, **claims))


async def test_access_token_without_account_is_rejected(browser: AsyncClient, provider: IdentityProvider) -> None:
    response = await browser.get(f"{AUTH}/me", headers=bearer_headers(provider))

    assert (response.status_code, response.json()["code"]) == (403, "account_needed")


async def test_account_creation_is_idempotent(browser: AsyncClient, provider: IdentityProvider) -> None:
    first, second = await create_account(browser, provider), await create_account(browser, provider)

    assert (first.status_code, first.json()["email"]) == (201, "ada@example.com")
    assert first.json() == second.json()
    assert (await browser.get(f"{AUTH}/me", headers=bearer_headers(provider))).json()["id"] == first.json()["id"]


async def test_access_token_and_session_share_the_account(browser: AsyncClient, provider: IdentityProvider) -> None:
    await sign_in(browser)
    mine = (await browser.get(f"{AUTH}/me")).json()["id"]
    browser.cookies.clear()

    assert (await browser.get(f"{AUTH}/me", headers=bearer_headers(provider))).json()["id"] == mine


async def test_access_token_requires_no_csrf_token(browser: AsyncClient, provider: IdentityProvider) -> None:
    await create_account(browser, provider)
    response = await browser.patch(f"{AUTH}/me", json={"name": "Augusta"}, headers=bearer_headers(provider))

    assert response.status_code == 200


async def test_account_creation_requires_access_token(browser: AsyncClient) -> None:
    await sign_in(browser)

    assert (await browser.post(f"{AUTH}/accounts")).status_code == 401


async def test_account_creation_requires_verified_email(
    browser: AsyncClient, provider: IdentityProvider, session: AsyncSession
) -> None:
    unverified = Person("eve", "ada@example.com", email_verified=False)
    provider.people["eve"] = unverified
    unknown_person = Person("stranger", "ada@example.com")  # unknown to the provider's userinfo endpoint

    for person in (unverified, unknown_person):
        headers = {"Authorization": f"Bearer {provider.access_token(person)}"}
        response = await browser.post(f"{AUTH}/accounts", headers=headers)
        assert (response.status_code, response.json()["code"]) == (403, "email_not_verified")
    assert (await session.exec(select(User))).all() == []


async def test_userinfo_of_another_subject_is_rejected(browser: AsyncClient, provider: IdentityProvider) -> None:
    headers = bearer_headers(provider)
    provider.people[ADA.sub] = Person("eve", "eve@example.com")
    response = await browser.post(f"{AUTH}/accounts", headers=headers)

    assert (response.status_code, response.json()["code"]) == (403, "email_not_verified")


@pytest.mark.parametrize(
    ("scope", "is_admin", "expected"),
    [
        (None, False, ["read", "write"]),
        (None, True, ["read", "write"]),
        ("openid email", True, ["read", "write"]),
        ("openid read", False, ["read"]),
        ("read admin", False, ["read"]),
        ("read admin", True, ["admin", "read"]),
    ],
)
async def test_scopes_are_limited_to_token_and_owner(
    browser: AsyncClient,
    provider: IdentityProvider,
    session: AsyncSession,
    scope: str | None,
    is_admin: bool,
    expected: list[str],
) -> None:
    user_id = UUID((await create_account(browser, provider)).json()["id"])
    if is_admin:
        await AuthService(session).grant_role(user_id, Role.ADMIN)
        await session.commit()
    response = await browser.get(f"{AUTH}/me", headers=bearer_headers(provider, scope=scope))

    assert response.json()["scopes"] == expected


async def test_read_only_token_cannot_write(browser: AsyncClient, provider: IdentityProvider) -> None:
    await create_account(browser, provider)
    response = await browser.patch(
        f"{AUTH}/me", json={"name": "Augusta"}, headers=bearer_headers(provider, scope="read")
    )

    assert (response.status_code, response.json()["code"]) == (403, "not_allowed")


async def test_browser_endpoints_reject_access_tokens(browser: AsyncClient, provider: IdentityProvider) -> None:
    await create_account(browser, provider)

    for method, path in (("GET", "session"), ("POST", "logout"), ("DELETE", "me")):
        response = await browser.request(method, f"{AUTH}/{path}", headers=bearer_headers(provider))
        assert (response.status_code, response.json()["code"]) == (403, "session_needed"), path


async def test_invalid_token_is_rejected_despite_valid_cookie(browser: AsyncClient) -> None:
    await sign_in(browser)
    response = await browser.get(f"{AUTH}/me", headers={"Authorization": "Bearer made-up"})

    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")


async def test_unavailable_provider_results_in_503(browser: AsyncClient, provider: IdentityProvider) -> None:
    headers = bearer_headers(provider)
    provider.unavailable = True
    response = await browser.get(f"{AUTH}/me", headers=headers)

    assert (response.status_code, response.json()["code"]) == (503, "provider_unavailable")
    assert response.headers["retry-after"] == "1"
