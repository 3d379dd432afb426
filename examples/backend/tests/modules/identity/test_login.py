"""Login with an identity provider, and attacks on it."""

import asyncio
import re
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import URL, ASGITransport, AsyncClient, Response
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.config import Environment, Settings
from app.core.runtime import runtime_of
from app.db.base import utc_now
from app.modules.identity.models import Identity, SessionCookie
from app.modules.identity.repository import IdentityRepository
from app.modules.user.models import User
from app.oidc.cache import RETRY_SECONDS
from app.oidc.login import LoginAttempt
from app.oidc.providers import Providers
from app.oidc.settings import OidcSettings
from app.security.rate_limits import RateLimits
from app.security.settings import SecuritySettings
from tests.identity_provider import IdentityProvider, Person, from_now
from tests.modules.identity.conftest import SERVICE_URL, open_browser, provider_settings
from tests.modules.identity.steps import AUTH, log_in_at_provider, redirected_error, sign_in, start_login
from tests.users import app_of


async def stored_users(session: AsyncSession) -> list[User]:
    return list((await session.exec(select(User))).all())


def login_succeeded(response: Response) -> bool:
    return "error" not in response.headers["location"] and "session=" in response.headers["set-cookie"]


# ── successful logins ──


async def test_providers_are_listed(browser: AsyncClient) -> None:
    assert (await browser.get(f"{AUTH}/providers")).json() == [{"name": "acme", "label": "acme"}]


async def test_login_starts_session(browser: AsyncClient) -> None:
    response = await sign_in(browser, "/todos?status=open")

    assert response.headers["location"] == f"{SERVICE_URL}/todos?status=open"
    assert response.headers["cache-control"] == "no-store"
    session = (await browser.get(f"{AUTH}/session")).json()
    assert (session["user"]["email"], session["user"]["name"]) == ("ada@example.com", "Ada Lovelace")
    assert (await browser.get(f"{AUTH}/me")).json()["scopes"] == ["read", "write"]


async def test_authorization_request_uses_pkce_state_and_nonce(browser: AsyncClient) -> None:
    asked = URL(await start_login(browser)).params

    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert asked["redirect_uri"] == f"{SERVICE_URL}/api/v1/auth/callback/acme"
    assert all(len(asked[name]) == 43 for name in ("state", "nonce", "code_challenge"))


async def test_second_login_uses_same_account(
    browser: AsyncClient, provider: IdentityProvider, session: AsyncSession
) -> None:
    await sign_in(browser)
    provider.person = Person("ada", "ada@elsewhere.example", email_verified=False)  # identified by the subject now
    assert login_succeeded(await sign_in(browser))

    assert [user.email for user in await stored_users(session)] == ["ada@example.com"]


async def test_verified_email_links_existing_account_ignoring_case(
    browser: AsyncClient, provider: IdentityProvider, session: AsyncSession
) -> None:
    session.add(User(email="ada@example.com", name="Ada"))
    await session.commit()
    provider.person = Person("ada", "ADA@Example.com")

    assert login_succeeded(await sign_in(browser))
    assert [user.name for user in await stored_users(session)] == ["Ada"]


@pytest.mark.parametrize("verified", [False, None, "true", 1])
async def test_unverified_email_is_rejected(
    browser: AsyncClient, provider: IdentityProvider, session: AsyncSession, verified: Any
) -> None:
    session.add(User(email="ada@example.com", name="Ada"))
    await session.commit()
    provider.tamper = lambda claims: claims | {"email_verified": verified}

    assert redirected_error(await sign_in(browser)) == "email_not_verified"
    assert (await session.exec(select(Identity))).all() == []


async def test_verified_claim_is_configurable(app: FastAPI, browser: AsyncClient, provider: IdentityProvider) -> None:
    settings = runtime_of(app)[Providers].get("acme").settings.model_copy(update={"verified_claim": "xms_edov"})
    runtime_of(app)[Providers] = Providers(OidcSettings(providers=(settings,)), ASGITransport(provider.app()))
    assert redirected_error(await sign_in(browser)) == "email_not_verified"

    provider.tamper = lambda claims: {n: v for n, v in claims.items() if n != "email_verified"} | {"xms_edov": True}
    assert login_succeeded(await sign_in(browser))


@pytest.mark.parametrize("email", ["ada", "", None, 7])
async def test_invalid_email_creates_no_account(
    browser: AsyncClient, provider: IdentityProvider, session: AsyncSession, email: Any
) -> None:
    provider.tamper = lambda claims: claims | {"email": email}

    assert redirected_error(await sign_in(browser)) == "email_not_verified"
    assert await stored_users(session) == []


async def test_invalid_name_is_replaced_by_local_part_of_email(
    browser: AsyncClient, provider: IdentityProvider, session: AsyncSession
) -> None:
    provider.tamper = lambda claims: claims | {"name": "A\r\nSet-Cookie: a=b"}
    await sign_in(browser)

    assert [user.name for user in await stored_users(session)] == ["ada"]


async def test_missing_claims_are_fetched_from_userinfo(browser: AsyncClient, provider: IdentityProvider) -> None:
    provider.tamper = lambda claims: {n: v for n, v in claims.items() if n not in ("email", "email_verified", "name")}

    assert login_succeeded(await sign_in(browser))
    assert (await browser.get(f"{AUTH}/session")).json()["user"]["name"] == "Ada Lovelace"


async def test_conflicting_first_login_is_retried(
    browser: AsyncClient, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sign_in(browser)
    url = await log_in_at_provider(browser, await start_login(browser))
    find, calls = IdentityRepository.find_user_id, []

    async def find_on_second_call(self: IdentityRepository, issuer: str, subject: str) -> Any:
        calls.append(subject)
        return None if len(calls) == 1 else await find(self, issuer, subject)

    monkeypatch.setattr(IdentityRepository, "find_user_id", find_on_second_call)

    assert login_succeeded(await browser.get(url))
    assert len(calls) == 2
    assert len(await stored_users(session)) == 1


async def test_concurrent_first_logins_create_one_account(
    committing_client: AsyncClient, provider: IdentityProvider
) -> None:
    app = app_of(committing_client)
    runtime_of(app)[Providers] = Providers(
        OidcSettings(providers=(provider_settings(provider),)), ASGITransport(provider.app())
    )
    browsers = [open_browser(app, provider) for _ in range(5)]
    urls = [await log_in_at_provider(browser, await start_login(browser)) for browser in browsers]
    responses = await asyncio.gather(*(browser.get(url) for browser, url in zip(browsers, urls, strict=True)))

    assert all(login_succeeded(response) for response in responses)
    assert len((await browsers[0].get(f"{AUTH}/sessions")).json()) == 5


# ── attacks on the callback ──


async def test_callback_cannot_be_replayed(browser: AsyncClient) -> None:
    url = await log_in_at_provider(browser, await start_login(browser))
    assert login_succeeded(await browser.get(url))

    assert redirected_error(await browser.get(url)) == "login_expired"


async def test_callback_requires_the_browser_that_started_login(
    browser: AsyncClient, another_browser: AsyncClient
) -> None:
    await start_login(another_browser)  # it has a separate login cookie
    url = await log_in_at_provider(browser, await start_login(browser))

    assert redirected_error(await another_browser.get(url)) == "login_expired"


async def test_login_csrf_is_rejected(browser: AsyncClient, another_browser: AsyncClient) -> None:
    url = await log_in_at_provider(browser, await start_login(browser))

    assert redirected_error(await another_browser.get(url)) == "login_expired"
    assert (await another_browser.get(f"{AUTH}/session")).status_code == 401


async def test_unknown_state_is_rejected(browser: AsyncClient) -> None:
    await start_login(browser)

    assert redirected_error(await browser.get(f"{AUTH}/callback/acme?state=made-up&code=any")) == "login_expired"


async def test_login_attempt_expires(browser: AsyncClient, session: AsyncSession) -> None:
    url = await log_in_at_provider(browser, await start_login(browser))
    await session.exec(update(LoginAttempt).values(expires_at=utc_now()).where(col(LoginAttempt.state) != ""))
    await session.commit()

    assert redirected_error(await browser.get(url)) == "login_expired"


async def test_provider_mix_up_is_rejected(browser: AsyncClient, app: FastAPI, provider: IdentityProvider) -> None:
    evil = IdentityProvider(issuer="https://evil.example")
    settings = OidcSettings(providers=(provider_settings(provider), provider_settings(evil, "evil")))
    runtime_of(app)[Providers] = Providers(settings, ASGITransport(provider.app()))
    url = URL(await log_in_at_provider(browser, await start_login(browser)))

    mixed_up = url.copy_with(path="/api/v1/auth/callback/evil")
    assert redirected_error(await browser.get(mixed_up)) == "login_expired"


@pytest.mark.parametrize("issuer", ["https://evil.example", None])
async def test_callback_with_wrong_or_missing_issuer_is_rejected(browser: AsyncClient, issuer: str | None) -> None:
    url = URL(await log_in_at_provider(browser, await start_login(browser)))
    changed = url.copy_set_param("iss", issuer) if issuer else url.copy_remove_param("iss")

    assert redirected_error(await browser.get(changed)) == "login_refused"


async def test_missing_issuer_is_accepted_if_provider_does_not_support_it(
    browser: AsyncClient, provider: IdentityProvider
) -> None:
    provider.metadata = {"authorization_response_iss_parameter_supported": False}
    url = URL(await log_in_at_provider(browser, await start_login(browser)))

    assert login_succeeded(await browser.get(url.copy_remove_param("iss")))


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another-client"},
        {"aud": ["app", "another-client"]},
        {"azp": "another-client"},
        {"iss": "https://evil.example"},
        {"exp": -3600},
        {"nbf": 3600},
        {"iat": 3600},
        {"exp": None},
        {"sub": None},
        {"aud": None},
        {"iss": None},
    ],
    ids=str,
)
async def test_id_token_with_invalid_claims_is_rejected(
    browser: AsyncClient, provider: IdentityProvider, session: AsyncSession, changes: dict[str, Any]
) -> None:
    provider.tamper = lambda claims: {n: v for n, v in (claims | from_now(changes)).items() if v is not None}

    assert redirected_error(await sign_in(browser)) == "login_refused"
    assert await stored_users(session) == []


async def test_id_token_with_several_audiences_and_our_azp_is_accepted(
    browser: AsyncClient, provider: IdentityProvider
) -> None:
    provider.tamper = lambda claims: claims | {"aud": ["app", "another"], "azp": "app"}

    assert login_succeeded(await sign_in(browser))


async def test_code_requires_its_pkce_verifier(
    browser: AsyncClient, provider: IdentityProvider, session: AsyncSession
) -> None:
    url = await log_in_at_provider(browser, await start_login(browser))
    await session.exec(update(LoginAttempt).values(code_verifier="x" * 43).where(col(LoginAttempt.state) != ""))
    await session.commit()

    assert redirected_error(await browser.get(url)) == "login_refused"
    assert "token" in provider.requests


async def test_code_of_another_login_is_rejected(browser: AsyncClient, another_browser: AsyncClient) -> None:
    stolen = URL(await log_in_at_provider(another_browser, await start_login(another_browser))).params["code"]
    url = URL(await log_in_at_provider(browser, await start_login(browser)))

    assert redirected_error(await browser.get(url.copy_set_param("code", stolen))) == "login_refused"


async def test_provider_rejects_unregistered_redirect_uri(browser: AsyncClient) -> None:
    url = URL(await start_login(browser)).copy_set_param("redirect_uri", "https://evil.example/callback")

    assert (await browser.get(url)).status_code == 400


async def test_wrong_client_secret_is_no_internal_error(browser: AsyncClient, provider: IdentityProvider) -> None:
    provider.client_secret = "another"

    assert redirected_error(await sign_in(browser)) == "login_refused"


@pytest.mark.parametrize("response", ["error=access_denied", "error=%0d%0aSet-Cookie:%20a=b&code=any", ""])
async def test_cancelled_login_is_reported(browser: AsyncClient, response: str) -> None:
    state = URL(await start_login(browser)).params["state"]

    assert redirected_error(await browser.get(f"{AUTH}/callback/acme?state={state}&{response}")) == "login_cancelled"


# ── redirects to the application ──


@pytest.mark.parametrize(
    "return_to",
    [
        *("https://evil.example", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example"),
        *("/\t/evil.example", "/\n/evil.example", " //evil.example", "/ /evil.example", "javascript:alert(1)"),
        *("evil.example", "@evil.example", ".evil.example", "", "/a\\b", "/\x00", "/ä", "/" + "a" * 1000),
        *("/a\r\nSet-Cookie: session=evil", "/a\r\n\r\n<script>"),
    ],
)
async def test_return_to_rejects_other_sites(browser: AsyncClient, return_to: str) -> None:
    response = await browser.get(f"{AUTH}/login/acme", params={"return_to": return_to})

    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "query.return_to")


@pytest.mark.parametrize("return_to", ["/", "/a", "/@evil.example", "/a//b?c=d&e=%2F#f", "/.//evil.example"])
async def test_return_to_accepts_paths_of_the_application(browser: AsyncClient, return_to: str) -> None:
    response = await sign_in(browser, return_to)

    assert response.headers["location"] == f"{SERVICE_URL}{return_to}"


# ── providers that fail ──


async def test_unknown_provider_is_not_found(browser: AsyncClient) -> None:
    for path in ("login/other", "callback/other?state=any"):
        response = await browser.get(f"{AUTH}/{path}")
        assert (response.status_code, response.json()["code"]) == (404, "provider_not_found")


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://id.example.com/token"},
        {"userinfo_endpoint": "http://id.example.com/userinfo"},
        {"jwks_uri": None},
    ],
)
async def test_invalid_provider_metadata_is_rejected(
    browser: AsyncClient, provider: IdentityProvider, metadata: dict[str, Any]
) -> None:
    provider.metadata = metadata

    assert redirected_error(await browser.get(f"{AUTH}/login/acme")) == "provider_unavailable"


async def test_login_works_after_provider_recovers(
    browser: AsyncClient, provider: IdentityProvider, clock: list[float]
) -> None:
    provider.unavailable = True
    assert redirected_error(await browser.get(f"{AUTH}/login/acme")) == "provider_unavailable"

    provider.unavailable = False
    clock[0] = RETRY_SECONDS + 1
    assert login_succeeded(await sign_in(browser))


async def test_provider_outage_during_login_is_reported(browser: AsyncClient, provider: IdentityProvider) -> None:
    url = await log_in_at_provider(browser, await start_login(browser))
    provider.unavailable = True

    assert redirected_error(await browser.get(url)) == "provider_unavailable"


async def test_login_attempts_are_rate_limited(browser: AsyncClient, app: FastAPI) -> None:
    runtime_of(app)[RateLimits] = RateLimits(SecuritySettings(address_limit="2/minute"))
    for _ in range(2):
        await start_login(browser)

    response = await browser.get(f"{AUTH}/login/acme")
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) > 0


async def test_users_of_one_network_can_sign_in_without_limit(browser: AsyncClient, app: FastAPI) -> None:
    runtime_of(app)[RateLimits] = RateLimits(SecuritySettings(address_limit="2/minute"))
    for _ in range(5):
        assert login_succeeded(await sign_in(browser))


async def test_failed_callbacks_are_rate_limited(browser: AsyncClient, app: FastAPI) -> None:
    runtime_of(app)[RateLimits] = RateLimits(SecuritySettings(address_limit="2/minute"))
    failed = f"{AUTH}/callback/acme?state=unknown&code=unknown"
    for _ in range(2):
        assert redirected_error(await browser.get(failed)) == "login_expired"

    assert (await browser.get(failed)).status_code == 429


# ── cookies and secrets ──


def cookie_attributes(response: Response) -> dict[str, set[str]]:
    """The attributes of the cookies set by a response, except their lifetimes."""
    cookies = [re.split("; ?", cookie) for cookie in response.headers.get_list("set-cookie")]
    return {
        pair.partition("=")[0]: {a for a in attributes if "=" not in a or a[0] in "SPD"}
        for pair, *attributes in cookies
    }


async def test_development_cookies_work_over_http(browser: AsyncClient) -> None:
    first, last = await browser.get(f"{AUTH}/login/acme"), await sign_in(browser)

    assert cookie_attributes(first) == {"login": {"HttpOnly", "Path=/", "SameSite=lax"}}
    assert cookie_attributes(last) == {name: cookie_attributes(first)["login"] for name in ("session", "login")}
    assert "login" not in browser.cookies


async def test_production_cookies_are_secure_and_bound_to_host(app: FastAPI, provider: IdentityProvider) -> None:
    runtime_of(app).settings = Settings(env=Environment.PROD)
    runtime_of(app)[SecuritySettings] = SecuritySettings(env=Environment.PROD, app_url="https://app.example.com")
    provider.redirect_uris = ("https://app.example.com/api/v1/auth/callback/acme",)
    async with open_browser(app, provider, "https://app.example.com") as browser:
        first, last = await browser.get(f"{AUTH}/login/acme"), await sign_in(browser)
        assert (await browser.get(f"{AUTH}/session")).status_code == 200

    assert cookie_attributes(first) == {"__Host-login": {"HttpOnly", "Path=/", "SameSite=lax", "Secure"}}
    assert cookie_attributes(last) == {
        name: cookie_attributes(first)["__Host-login"] for name in ("__Host-session", "__Host-login")
    }
    assert last.headers["location"] == "https://app.example.com/"


async def test_public_url_may_differ_from_application_url(
    browser: AsyncClient, app: FastAPI, provider: IdentityProvider
) -> None:
    settings = OidcSettings(providers=(provider_settings(provider),), public_url="https://api.example.com/")
    runtime_of(app)[Providers] = Providers(settings, ASGITransport(provider.app()))
    response = await browser.get(f"{AUTH}/login/acme")

    redirect_uri = URL(response.headers["location"]).params["redirect_uri"]
    assert redirect_uri == "https://api.example.com/api/v1/auth/callback/acme"


async def test_login_replaces_existing_session_cookie(browser: AsyncClient, another_browser: AsyncClient) -> None:
    browser.cookies.set("session", "planted", "127.0.0.1")
    await sign_in(browser)
    first = browser.cookies["session"]
    await sign_in(browser)

    assert len({"planted", first, browser.cookies["session"]}) == 3
    another_browser.cookies.set("session", "planted", "127.0.0.1")
    assert (await another_browser.get(f"{AUTH}/session")).status_code == 401


async def test_secrets_are_stored_as_digests_and_not_logged(
    browser: AsyncClient, session: AsyncSession, provider: IdentityProvider, caplog: pytest.LogCaptureFixture
) -> None:
    url = await log_in_at_provider(browser, await start_login(browser))
    began = (await session.exec(select(LoginAttempt))).one()
    login = browser.cookies["login"]
    await browser.get(url)
    kept = (await session.exec(select(SessionCookie))).one()
    secrets = {URL(url).params["state"], URL(url).params["code"], login, browser.cookies["session"]}

    assert not secrets & {began.state, began.browser, kept.secret}
    written = " ".join(str(record.msg) for record in caplog.records)
    assert "identity_linked" in written
    assert not [secret for secret in {*secrets, kept.id_token, provider.client_secret} if secret in written]
    assert "ada@example.com" not in written


@pytest.mark.parametrize(("how", "outcome"), [("error=access_denied", "login_cancelled"), ("code=x", "login_refused")])
async def test_rejected_logins_are_audited(
    browser: AsyncClient, caplog: pytest.LogCaptureFixture, how: str, outcome: str
) -> None:
    state = URL(await start_login(browser)).params["state"]
    await browser.get(f"{AUTH}/callback/acme?state={state}&{how}&iss=https://id.example.com")

    [line] = [r.msg for r in caplog.records if isinstance(r.msg, dict) and r.msg.get("audit")]
    assert (line["event"], line["outcome"], line["provider"]) == ("login", outcome, "acme")
