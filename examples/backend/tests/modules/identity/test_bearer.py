"""What programs with an access token of the provider may do."""

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


def bearer(provider: IdentityProvider, **claims: Any) -> dict[str, str]:
    provider.people[ADA.sub] = ADA
    return {"Authorization": f"Bearer {provider.access_token(ADA, **claims)}"}


async def open_account(client: AsyncClient, provider: IdentityProvider, **claims: Any) -> Response:
    return await client.post(f"{AUTH}/accounts", headers=bearer(provider, **claims))


async def test_the_owner_of_a_token_needs_an_account(browser: AsyncClient, provider: IdentityProvider) -> None:
    answer = await browser.get(f"{AUTH}/me", headers=bearer(provider))

    assert (answer.status_code, answer.json()["code"]) == (403, "account_needed")


async def test_an_account_is_opened_once(browser: AsyncClient, provider: IdentityProvider) -> None:
    first, second = await open_account(browser, provider), await open_account(browser, provider)

    assert (first.status_code, first.json()["email"]) == (201, "ada@example.com")
    assert first.json() == second.json()
    assert (await browser.get(f"{AUTH}/me", headers=bearer(provider))).json()["id"] == first.json()["id"]


async def test_it_is_the_account_of_the_browser(browser: AsyncClient, provider: IdentityProvider) -> None:
    await sign_in(browser)
    mine = (await browser.get(f"{AUTH}/me")).json()["id"]
    browser.cookies.clear()

    assert (await browser.get(f"{AUTH}/me", headers=bearer(provider))).json()["id"] == mine


async def test_a_program_needs_no_csrf_token(browser: AsyncClient, provider: IdentityProvider) -> None:
    await open_account(browser, provider)
    answer = await browser.patch(f"{AUTH}/me", json={"name": "Augusta"}, headers=bearer(provider))

    assert answer.status_code == 200


async def test_without_a_token_no_account_is_opened(browser: AsyncClient) -> None:
    await sign_in(browser)

    assert (await browser.post(f"{AUTH}/accounts")).status_code == 401


async def test_an_account_needs_a_verified_address(
    browser: AsyncClient, provider: IdentityProvider, session: AsyncSession
) -> None:
    unverified = Person("eve", "ada@example.com", email_verified=False)
    provider.people["eve"] = unverified
    stranger = Person("stranger", "ada@example.com")  # the provider does not tell about them

    for person in (unverified, stranger):
        headers = {"Authorization": f"Bearer {provider.access_token(person)}"}
        answer = await browser.post(f"{AUTH}/accounts", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "email_not_verified")
    assert (await session.exec(select(User))).all() == []


async def test_the_provider_may_not_speak_of_somebody_else(browser: AsyncClient, provider: IdentityProvider) -> None:
    headers = bearer(provider)
    provider.people[ADA.sub] = Person("eve", "eve@example.com")
    answer = await browser.post(f"{AUTH}/accounts", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (403, "email_not_verified")


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
async def test_a_token_allows_what_it_names_and_its_owner_may(
    browser: AsyncClient,
    provider: IdentityProvider,
    session: AsyncSession,
    scope: str | None,
    is_admin: bool,
    expected: list[str],
) -> None:
    user_id = UUID((await open_account(browser, provider)).json()["id"])
    if is_admin:
        await AuthService(session).grant(user_id, Role.ADMIN)
        await session.commit()
    answer = await browser.get(f"{AUTH}/me", headers=bearer(provider, scope=scope))

    assert answer.json()["scopes"] == expected


async def test_a_token_to_read_changes_nothing(browser: AsyncClient, provider: IdentityProvider) -> None:
    await open_account(browser, provider)
    answer = await browser.patch(f"{AUTH}/me", json={"name": "Augusta"}, headers=bearer(provider, scope="read"))

    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")


async def test_what_is_for_browsers_a_program_cannot_do(browser: AsyncClient, provider: IdentityProvider) -> None:
    await open_account(browser, provider)

    for method, path in (("GET", "session"), ("POST", "logout"), ("DELETE", "me")):
        answer = await browser.request(method, f"{AUTH}/{path}", headers=bearer(provider))
        assert (answer.status_code, answer.json()["code"]) == (403, "session_needed"), path


async def test_a_bad_token_is_not_made_good_by_a_cookie(browser: AsyncClient) -> None:
    await sign_in(browser)
    answer = await browser.get(f"{AUTH}/me", headers={"Authorization": "Bearer made-up"})

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_a_provider_that_is_away_is_told(browser: AsyncClient, provider: IdentityProvider) -> None:
    headers = bearer(provider)
    provider.away = True
    answer = await browser.get(f"{AUTH}/me", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (503, "provider_unavailable")
    assert answer.headers["retry-after"] == "1"
