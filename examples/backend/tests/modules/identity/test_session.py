"""Browser sessions, CSRF protection, and logout."""

from uuid import uuid4

import pytest
from fastapi import FastAPI
from httpx2 import URL, ASGITransport, AsyncClient
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.runtime import runtime_of
from app.db.base import utc_now
from app.modules.auth.models import LoginSession
from app.modules.identity.models import Identity, SessionCookie
from app.modules.identity.repository import IdentityRepository, SessionEnded
from app.modules.user.models import User
from app.oidc.providers import Providers
from app.oidc.settings import OidcSettings
from tests.identity_provider import IdentityProvider
from tests.modules.identity.conftest import SERVICE_URL, provider_settings
from tests.modules.identity.steps import AUTH, csrf_headers, sign_in, start_login


async def test_session_endpoint_returns_the_user(browser: AsyncClient) -> None:
    assert (await browser.get(f"{AUTH}/session")).status_code == 401
    await sign_in(browser)
    response = await browser.get(f"{AUTH}/session")

    assert response.headers["cache-control"] == "no-store"
    assert response.json()["user"]["email"] == "ada@example.com"
    assert browser.cookies["session"] not in response.text


async def test_expired_session_is_rejected(browser: AsyncClient, session: AsyncSession) -> None:
    await sign_in(browser)
    await session.exec(update(LoginSession).values(expires_at=utc_now()).where(col(LoginSession.client) != ""))
    await session.commit()

    response = await browser.get(f"{AUTH}/me")
    assert (response.status_code, response.json()["code"]) == (401, "session_ended")


async def test_unsafe_methods_accept_valid_csrf_token(browser: AsyncClient) -> None:
    await sign_in(browser)

    response = await browser.patch(f"{AUTH}/me", json={"name": "Augusta"}, headers=await csrf_headers(browser))
    assert (response.status_code, response.json()["name"]) == (200, "Augusta")


@pytest.mark.parametrize("token", [None, b"", b"made-up", b"\xff"])
async def test_unsafe_methods_require_csrf_token(
    browser: AsyncClient, caplog: pytest.LogCaptureFixture, token: bytes | None
) -> None:
    await sign_in(browser)
    headers = {} if token is None else {b"X-CSRF-Token": token}

    for method, path in (("PATCH", "me"), ("POST", "logout"), ("DELETE", "me"), ("DELETE", "sessions")):
        response = await browser.request(method, f"{AUTH}/{path}", headers=headers)
        assert (response.status_code, response.json()["code"]) == (403, "csrf_refused"), path
    assert (await browser.get(f"{AUTH}/session")).status_code == 200
    assert [r.msg["outcome"] for r in caplog.records if isinstance(r.msg, dict) and r.msg["event"] == "csrf_check"] == [
        "refused"
    ] * 4


async def test_csrf_token_of_another_session_is_rejected(browser: AsyncClient, another_browser: AsyncClient) -> None:
    await sign_in(browser)
    await sign_in(another_browser)

    response = await browser.post(f"{AUTH}/logout", headers=await csrf_headers(another_browser))
    assert (response.status_code, response.json()["code"]) == (403, "csrf_refused")


async def test_logout_ends_session_and_returns_provider_logout_url(browser: AsyncClient) -> None:
    await sign_in(browser)
    secret = browser.cookies["session"]
    response = await browser.post(f"{AUTH}/logout", headers=await csrf_headers(browser))

    assert response.status_code == 200
    assert response.headers["set-cookie"] == 'session=""; HttpOnly; Max-Age=0; Path=/; SameSite=lax'
    assert "session" not in browser.cookies
    there = await browser.get(response.json()["logout_url"])
    assert (there.status_code, there.headers["location"]) == (302, f"{SERVICE_URL}/")
    browser.cookies.set("session", secret, "127.0.0.1")
    assert (await browser.get(f"{AUTH}/session")).status_code == 401


async def test_provider_logout_rejects_unknown_redirects(browser: AsyncClient) -> None:
    await sign_in(browser)
    url = URL((await browser.post(f"{AUTH}/logout", headers=await csrf_headers(browser))).json()["logout_url"])

    assert (
        await browser.get(url.copy_set_param("post_logout_redirect_uri", "https://evil.example"))
    ).status_code == 400
    assert (await browser.get(url.copy_set_param("id_token_hint", "made-up"))).status_code == 400


@pytest.mark.parametrize("metadata", [{"end_session_endpoint": None}, {"jwks_uri": None}])
async def test_logout_works_without_provider_support(
    browser: AsyncClient, app: FastAPI, provider: IdentityProvider, metadata: dict[str, None]
) -> None:
    await sign_in(browser)
    headers = await csrf_headers(browser)
    provider.metadata = metadata
    runtime_of(app)[Providers] = Providers(
        OidcSettings(providers=(provider_settings(provider),)), ASGITransport(provider.app())
    )

    assert (await browser.post(f"{AUTH}/logout", headers=headers)).json() == {"logout_url": None}
    assert (await browser.get(f"{AUTH}/session")).status_code == 401


async def test_logout_works_after_provider_is_removed(
    browser: AsyncClient, app: FastAPI, provider: IdentityProvider
) -> None:
    await sign_in(browser)
    headers = await csrf_headers(browser)
    runtime_of(app)[Providers] = Providers(
        OidcSettings(providers=(provider_settings(provider, "new"),)), ASGITransport(provider.app())
    )

    assert (await browser.post(f"{AUTH}/logout", headers=headers)).json() == {"logout_url": None}


async def test_session_can_be_ended_from_another_session(browser: AsyncClient, another_browser: AsyncClient) -> None:
    await sign_in(browser)
    await sign_in(another_browser)
    [session_id] = [login["id"] for login in (await browser.get(f"{AUTH}/sessions")).json() if login["current"]]
    await another_browser.delete(f"{AUTH}/sessions/{session_id}", headers=await csrf_headers(another_browser))

    assert (await browser.get(f"{AUTH}/session")).status_code == 401
    assert (await another_browser.get(f"{AUTH}/session")).status_code == 200


async def test_cookie_of_ended_session_is_not_found(session: AsyncSession) -> None:
    with pytest.raises(SessionEnded):
        await IdentityRepository(session).pop_cookie(uuid4())


async def test_account_deletion_removes_all_data(browser: AsyncClient, session: AsyncSession) -> None:
    await sign_in(browser)
    response = await browser.delete(f"{AUTH}/me", headers=await csrf_headers(browser))

    assert response.status_code == 204
    assert "session" not in browser.cookies
    for table in (User, Identity, LoginSession, SessionCookie):
        assert (await session.exec(select(table))).all() == []
    await start_login(browser)
