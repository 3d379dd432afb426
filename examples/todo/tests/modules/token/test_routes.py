"""Sign-in, token refresh, and sign-out."""

import asyncio
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from httpx2 import ASGITransport, AsyncClient, Response
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.testing import capture_logs

from app.core.config import load
from app.core.runtime import runtime_of
from app.db.base import utc_now
from app.db.session import Database, transaction
from app.jwt.access_tokens import AccessTokens
from app.jwt.keys import dump_keys, generate, rotate
from app.jwt.passwords import Passwords
from app.jwt.settings import JwtSettings
from app.main import create_app
from app.modules.auth.models import LoginSession, Role
from app.modules.auth.service import AuthService
from app.modules.password.repository import PasswordRepository
from app.modules.token.models import RefreshToken
from app.modules.token.service import TokenService
from app.modules.user.schemas import UserCreate
from app.modules.user.service import UserService
from app.security.principal import Device, Principal
from app.security.rate_limits import RateLimits
from app.security.secrets import digest
from app.security.settings import SecuritySettings
from tests.users import app_of

AUTH = "/api/v1/auth"
EMAIL, PASSWORD = "ada@example.com", "orbit-walnut-teapot-47"


async def create_account(client: AsyncClient, *roles: Role) -> None:
    """Create an account with a password, without email verification."""
    runtime = runtime_of(app_of(client))
    hashed = await runtime[Passwords].hash(PASSWORD)
    async with transaction(runtime[Database].write) as session:
        user = await UserService(session).register(UserCreate(email=EMAIL, name="Ada"))
        await PasswordRepository(session).set_password(user.id, hashed)
        for role in roles:
            await AuthService(session).grant_role(user.id, role)


async def log_in(client: AsyncClient, **fields: str) -> Response:
    return await client.post(f"{AUTH}/token", data={"username": EMAIL, "password": PASSWORD} | fields)


async def refresh(client: AsyncClient, token: str) -> Response:
    return await client.post(f"{AUTH}/refresh", json={"refresh_token": token})


def bearer_headers(response: Response) -> dict[str, str]:
    return {"Authorization": f"Bearer {response.json()['access_token']}"}


async def test_login_returns_tokens(client: AsyncClient) -> None:
    await create_account(client)
    response = await log_in(client, username=" Ada@Example.com ")

    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert (response.json()["token_type"], response.json()["expires_in"], response.json()["scope"]) == (
        *("bearer", 900, "read write"),
    )
    me = await client.get(f"{AUTH}/me", headers=bearer_headers(response))
    assert (me.json()["email"], me.json()["scopes"]) == (EMAIL, ["read", "write"])


@pytest.mark.parametrize(
    ("email", "password"),
    [
        (EMAIL, "orbit-walnut-teapot-48"),
        ("bob@example.com", PASSWORD),
        ("old@example.com", PASSWORD),
        ("' OR 1=1 --", "' OR 1=1 --"),
        (EMAIL, "x" * 128),
        ("ada@example.com\r\nX-Injected: 1", PASSWORD),
        ("\x01", "\x00"),
    ],
)
async def test_failed_login_response_does_not_reveal_the_cause(client: AsyncClient, email: str, password: str) -> None:
    await create_account(client)
    async with transaction(runtime_of(app_of(client))[Database].write) as session:
        await UserService(session).register(UserCreate(email="old@example.com", name="Without a password"))
    response = await log_in(client, username=email, password=password)

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json() | {"request_id": ""} == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "code": "wrong_credentials",
        "detail": "Wrong email address or password.",
        "request_id": "",
    }


@pytest.mark.parametrize("email", [EMAIL, "bob@example.com"])
async def test_oversized_password_is_rejected(client: AsyncClient, email: str) -> None:
    await create_account(client)
    response = await log_in(client, username=email, password="x" * 100_000)

    assert (response.status_code, [error["field"] for error in response.json()["errors"]]) == (422, ["body.password"])
    assert "xxx" not in response.text


async def test_null_byte_is_rejected(client: AsyncClient) -> None:
    response = await log_in(client, username="ada\x00@example.com")

    assert (response.status_code, [error["field"] for error in response.json()["errors"]]) == (422, ["body.username"])


@pytest.mark.parametrize("email", [EMAIL, "bob@example.com"])
async def test_login_verifies_a_hash_even_without_account(client: AsyncClient, email: str) -> None:
    await create_account(client)
    verified = []

    class RecordingPasswords(Passwords):
        async def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
            verified.append(password)
            return await super().verify(password, stored)

    runtime_of(app_of(client))[Passwords] = RecordingPasswords(load(JwtSettings))
    await log_in(client, username=email, password="orbit-walnut-teapot-48")
    assert verified == ["orbit-walnut-teapot-48"]


async def test_password_change_during_login_is_detected(client: AsyncClient) -> None:
    await create_account(client)

    class PasswordsChangedDuringLogin(Passwords):
        async def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
            result = await super().verify(password, stored)
            async with transaction(runtime_of(app_of(client))[Database].write) as session:
                user = await UserService(session).find(EMAIL)
                assert user is not None
                await PasswordRepository(session).set_password(user.id, "another hash")
            return result

    runtime_of(app_of(client))[Passwords] = PasswordsChangedDuringLogin(load(JwtSettings))
    assert (await log_in(client)).status_code == 401


async def test_outdated_hash_is_replaced(client: AsyncClient, session: AsyncSession) -> None:
    await create_account(client)

    class PasswordsWithOutdatedHash(Passwords):
        async def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
            return True, "a better hash"

    runtime_of(app_of(client))[Passwords] = PasswordsWithOutdatedHash(load(JwtSettings))
    assert (await log_in(client)).status_code == 200
    found = await PasswordRepository(session).find(EMAIL)
    assert found is not None
    assert found[1].hash == "a better hash"


async def test_scopes_can_be_reduced(client: AsyncClient) -> None:
    await create_account(client)
    reading = await log_in(client, scope="read")

    assert reading.json()["scope"] == "read"
    assert (await client.get(f"{AUTH}/me", headers=bearer_headers(reading))).status_code == 200
    refused = await client.patch(f"{AUTH}/me", json={"name": "A"}, headers=bearer_headers(reading))
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    assert (await refresh(client, reading.json()["refresh_token"])).json()["scope"] == "read"
    assert (await client.post(f"{AUTH}/logout", headers=bearer_headers(reading))).status_code == 204


async def test_scopes_cannot_be_exceeded(client: AsyncClient) -> None:
    await create_account(client)

    assert (await log_in(client, scope="read admin")).json()["scope"] == "read"
    for asked in ("admin", "everything"):
        refused = await log_in(client, scope=asked)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_scope")


async def test_revoked_admin_role_ends_with_token_refresh(client: AsyncClient, session: AsyncSession) -> None:
    await create_account(client, Role.ADMIN)
    admin = await log_in(client)
    users = await client.get("/api/v1/users", headers=bearer_headers(admin))
    assert (admin.json()["scope"], users.status_code) == ("admin read write", 200)

    await AuthService(session).revoke_role(UUID(users.json()["items"][0]["id"]), Role.ADMIN)
    await session.commit()
    refreshed = await refresh(client, admin.json()["refresh_token"])
    assert refreshed.json()["scope"] == "read write"
    assert (await client.get("/api/v1/users", headers=bearer_headers(refreshed))).status_code == 403


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer x.y.z", "Basic YWRhOnB3", "Bearer e30.e30."])
async def test_malformed_token_is_rejected(client: AsyncClient, header: str) -> None:
    response = await client.get(f"{AUTH}/me", headers={"Authorization": header})

    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")


async def test_refresh_token_is_rotated(client: AsyncClient, session: AsyncSession) -> None:
    await create_account(client)
    first = (await log_in(client)).json()["refresh_token"]
    response = await refresh(client, first)
    second = response.json()["refresh_token"]

    assert response.headers["cache-control"] == "no-store"
    assert (await client.get(f"{AUTH}/me", headers=bearer_headers(response))).status_code == 200
    stored = {token.digest: token.used_at for token in (await session.exec(select(RefreshToken))).all()}
    assert set(stored) == {digest(first), digest(second)}
    assert stored[digest(first)] is not None
    assert stored[digest(second)] is None


async def test_refresh_token_reuse_within_grace_period_is_tolerated(client: AsyncClient) -> None:
    await create_account(client)
    first = (await log_in(client)).json()["refresh_token"]
    second = (await refresh(client, first)).json()["refresh_token"]

    again = await refresh(client, first)
    assert (again.status_code, again.json()["code"]) == (409, "refreshed_just_now")
    assert (await refresh(client, second)).status_code == 200


@pytest.fixture
def no_grace_period(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable the grace period for refresh-token reuse."""
    monkeypatch.setenv("JWT_REFRESH_GRACE_SECONDS", "0")


async def test_refresh_token_reuse_revokes_the_session(no_grace_period: None, client: AsyncClient) -> None:
    await create_account(client)
    first = (await log_in(client)).json()["refresh_token"]
    stolen = await refresh(client, first)

    assert (await refresh(client, first)).json()["code"] == "invalid_refresh_token"
    assert (await refresh(client, stolen.json()["refresh_token"])).status_code == 401
    assert (await client.get(f"{AUTH}/sessions", headers=bearer_headers(stolen))).json() == []


@pytest.fixture(params=[0, 60])
def grace_seconds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("JWT_REFRESH_GRACE_SECONDS", str(request.param))
    return request.param


async def test_concurrent_refreshes_succeed_once(grace_seconds: int, committing_client: AsyncClient) -> None:
    await create_account(committing_client)
    first = (await log_in(committing_client)).json()["refresh_token"]
    responses = await asyncio.gather(*(refresh(committing_client, first) for _ in range(20)))

    winners = [response for response in responses if response.status_code == 200]
    assert [response.status_code for response in responses if response not in winners] == [
        409 if grace_seconds else 401
    ] * 19
    [winner] = winners
    afterwards = await refresh(committing_client, winner.json()["refresh_token"])
    assert afterwards.status_code == (200 if grace_seconds else 401)


@pytest.mark.parametrize("token", ["x" * 43, "' OR 1=1 -- " + "x" * 30])
async def test_unknown_refresh_token_is_rejected(client: AsyncClient, token: str) -> None:
    response = await refresh(client, token)

    assert (response.status_code, response.json()["code"]) == (401, "invalid_refresh_token")


async def test_session_expires(client: AsyncClient, session: AsyncSession) -> None:
    await create_account(client)
    signed_in = await log_in(client)
    [login] = (await session.exec(select(LoginSession))).all()
    login.expires_at = utc_now() - timedelta(seconds=1)
    await session.commit()

    assert (await refresh(client, signed_in.json()["refresh_token"])).status_code == 401
    assert (await client.get(f"{AUTH}/sessions", headers=bearer_headers(signed_in))).json() == []


async def test_logout_keeps_other_sessions(client: AsyncClient) -> None:
    await create_account(client)
    here, there = await log_in(client), await log_in(client)

    for _ in range(2):
        assert (await client.post(f"{AUTH}/logout", headers=bearer_headers(here))).status_code == 204
    assert (await refresh(client, here.json()["refresh_token"])).status_code == 401
    assert (await refresh(client, there.json()["refresh_token"])).status_code == 200


async def test_all_sessions_can_be_ended(client: AsyncClient) -> None:
    await create_account(client)
    devices = [await log_in(client) for _ in range(3)]

    assert (await client.delete(f"{AUTH}/sessions", headers=bearer_headers(devices[0]))).status_code == 204
    assert [(await refresh(client, device.json()["refresh_token"])).status_code for device in devices] == [401] * 3


async def test_sessions_are_listed_with_the_current_one(client: AsyncClient) -> None:
    await create_account(client)
    await client.post(
        f"{AUTH}/token", data={"username": EMAIL, "password": PASSWORD}, headers={"User-Agent": "A telephone" * 50}
    )
    here = await log_in(client)
    there, current = sorted(
        (await client.get(f"{AUTH}/sessions", headers=bearer_headers(here))).json(), key=lambda login: login["current"]
    )
    assert (there["current"], current["current"]) == (False, True)
    assert (there["client"], there["address"]) == (("A telephone" * 50)[:200], "127.0.0.1")


async def test_logout_without_session_does_nothing(client: AsyncClient, session: AsyncSession) -> None:
    await create_account(client)
    user = await UserService(session).find(EMAIL)
    assert user is not None
    access_tokens, day = runtime_of(app_of(client))[AccessTokens], timedelta(days=1)
    auth, tokens = AuthService(session), TokenService(session, access_tokens, timedelta(), day)
    login = await auth.start_session(user.id, Device("A telephone", "192.0.2.1"), day)
    await tokens.sign_out(Principal(user.id, frozenset(), utc_now()))
    assert login in await auth.sessions(user.id)

    for _ in range(2):
        await tokens.sign_out(Principal(user.id, frozenset(), utc_now(), session_id=login.id))
    assert login not in await auth.sessions(user.id)


async def test_sign_in_attempts_are_limited(client: AsyncClient) -> None:
    await create_account(client)
    responses = [(await log_in(client, password="wrong")).status_code for _ in range(11)]
    refused = await log_in(client)

    assert responses == [401] * 10 + [429]
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert 1 <= int(refused.headers["retry-after"]) <= 900


async def test_successful_login_resets_the_attempt_count(client: AsyncClient) -> None:
    await create_account(client)
    for _ in range(2):
        for _ in range(9):
            await log_in(client, password="wrong")
        assert (await log_in(client)).status_code == 200


async def test_users_of_one_network_can_sign_in_without_limit(client: AsyncClient) -> None:
    runtime_of(app_of(client))[RateLimits] = RateLimits(SecuritySettings(address_limit="2/minute"))
    await create_account(client)
    for _ in range(5):
        assert (await log_in(client)).status_code == 200


async def test_failed_logins_of_one_network_are_limited(client: AsyncClient) -> None:
    """An account of the attacker does not help to guess the passwords of others."""
    runtime_of(app_of(client))[RateLimits] = RateLimits(SecuritySettings(address_limit="3/minute"))
    await create_account(client)
    responses = []
    for n in range(4):
        responses.append((await log_in(client, username=f"{n}@example.com")).status_code)
        responses.append((await log_in(client)).status_code)

    assert responses == [401, 200, 401, 200, 401, 429, 429, 429]


async def test_key_rotation_keeps_users_signed_in(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file, keys = tmp_path / "keys.json", generate()
    file.write_text(dump_keys(keys), encoding="utf-8")
    monkeypatch.setenv("JWT_KEYS_FILE", str(file))
    before = new_instance_client(client)
    await create_account(before)
    signed_in = await log_in(before)

    file.write_text(dump_keys(rotate(keys)), encoding="utf-8")
    after = new_instance_client(client)
    assert (await after.get(f"{AUTH}/me", headers=bearer_headers(signed_in))).status_code == 200
    assert (await refresh(after, signed_in.json()["refresh_token"])).status_code == 200
    published = [(await app.get(f"{AUTH}/jwks")).json()["keys"] for app in (before, after)]
    assert [len(keys) for keys in published] == [2, 3]
    assert all(set(key) == {"kty", "crv", "x", "kid", "use", "alg"} for keys in published for key in keys)


def new_instance_client(client: AsyncClient) -> AsyncClient:
    """Return a client of a new application instance with the same database."""
    app = create_app()
    runtime_of(app)[Database] = runtime_of(app_of(client))[Database]
    return AsyncClient(transport=ASGITransport(app), base_url="http://test")


async def test_shared_secret_is_not_published(client: AsyncClient) -> None:
    assert (await client.get(f"{AUTH}/jwks")).json() == {"keys": []}


async def test_secrets_are_not_logged(client: AsyncClient) -> None:
    await create_account(client)
    with capture_logs() as logs:
        signed_in = await log_in(client)
        refreshed = await refresh(client, signed_in.json()["refresh_token"])
        await log_in(client, password="orbit-walnut-teapot-48")
        await log_in(client, scope="admin")

    written = str(logs)
    for tokens in (signed_in.json(), refreshed.json()):
        assert tokens["access_token"] not in written
        assert tokens["refresh_token"] not in written
    assert "orbit-walnut" not in written
    assert EMAIL not in written
    trail = [(line["event"], line["outcome"]) for line in logs if line.get("audit")]
    assert trail == [("login", "success"), ("login", "wrong_credentials"), ("login", "invalid_scope")]


def test_openapi_describes_authentication() -> None:
    described = create_app().openapi()

    [scheme] = described["components"]["securitySchemes"].values()
    assert scheme["flows"]["password"]["tokenUrl"] == f"{AUTH}/token"
    assert set(scheme["flows"]["password"]["scopes"]) == {"read", "write", "admin"}
    assert described["paths"]["/api/v1/users"]["get"]["security"] == [{"OAuth2PasswordBearer": ["admin"]}]
    assert described["paths"][f"{AUTH}/me"]["get"]["security"] == [{"OAuth2PasswordBearer": []}]
    assert "security" not in described["paths"][f"{AUTH}/token"]["post"]
