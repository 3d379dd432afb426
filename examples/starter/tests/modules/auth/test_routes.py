"""Endpoints for the user's own account and sessions, with any kind of sign-in."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.preconditions import Precondition
from app.db.base import utc_now
from app.modules.auth.dependencies import CurrentAdmin, get_owner
from app.modules.auth.service import AuthService
from app.modules.user.service import UserService
from app.security.principal import Device, Principal
from tests.users import admin_headers, new_client, sign_in_new_user

AUTH = "/api/v1/auth"
ELSEWHERE = Device(client="A telephone", address="192.0.2.1")
LIFETIME = timedelta(days=14)


@pytest.fixture
async def client(client: AsyncClient) -> AsyncClient:
    await sign_in_new_user(client)
    return client


@pytest.fixture
async def me(client: AsyncClient) -> UUID:
    return UUID((await client.get(f"{AUTH}/me")).json()["id"])


async def test_users_can_change_only_their_name(client: AsyncClient) -> None:
    before = await client.get(f"{AUTH}/me")
    after = await client.patch(
        f"{AUTH}/me", json={"name": "Ada Lovelace"}, headers={"If-Match": before.headers["etag"]}
    )

    assert (after.status_code, after.json()["name"], after.headers["etag"]) == (200, "Ada Lovelace", '"2"')
    late = await client.patch(f"{AUTH}/me", json={"name": "A"}, headers={"If-Match": before.headers["etag"]})
    assert late.status_code == 412
    for field in ("email", "role", "scopes", "id"):
        assert (await client.patch(f"{AUTH}/me", json={field: "admin"})).status_code == 422


async def test_accounts_of_others_require_admin_scope(client: AsyncClient, me: UUID) -> None:
    for method, url in (("GET", "/api/v1/users"), ("GET", f"/api/v1/users/{me}"), ("DELETE", f"/api/v1/users/{me}")):
        answer = await client.request(method, url)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")


async def test_sessions_are_listed_and_ended(client: AsyncClient, me: UUID, session: AsyncSession) -> None:
    login = await AuthService(session).start_session(me, ELSEWHERE, LIFETIME)
    await session.commit()
    listed = {entry["id"]: entry for entry in (await client.get(f"{AUTH}/sessions")).json()}
    elsewhere = listed[str(login.id)]

    assert (elsewhere["client"], elsewhere["address"], elsewhere["current"]) == ("A telephone", "192.0.2.1", False)
    assert (await client.delete(f"{AUTH}/sessions/{login.id}")).status_code == 204
    gone = await client.delete(f"{AUTH}/sessions/{login.id}")
    assert (gone.status_code, gone.json()["code"]) == (404, "session_not_found")


async def test_sessions_of_others_are_not_found(client: AsyncClient, me: UUID, session: AsyncSession) -> None:
    login = await AuthService(session).start_session(me, ELSEWHERE, LIFETIME)
    await session.commit()
    stranger = new_client(client)
    await sign_in_new_user(stranger)

    assert (await stranger.delete(f"{AUTH}/sessions/{login.id}")).status_code == 404
    assert (await stranger.delete(f"{AUTH}/sessions")).status_code == 204
    assert [entry.id for entry in await AuthService(session).sessions(me) if entry.id == login.id] == [login.id]


async def test_route_can_require_admin_scope(app: FastAPI, client: AsyncClient, session: AsyncSession) -> None:
    @app.get("/administrators")
    async def read(admin: CurrentAdmin) -> UUID:
        return admin.user_id

    assert (await new_client(client).get("/administrators")).status_code == 401
    assert (await client.get("/administrators")).status_code == 403
    answer = await client.get("/administrators", headers=await admin_headers(app))
    assert answer.status_code == 200


async def test_owner_is_the_current_user() -> None:
    user = Principal(uuid4(), frozenset(), utc_now())
    assert await get_owner(user) == user.user_id


async def test_account_of_deleted_user_is_unauthenticated(client: AsyncClient, me: UUID, session: AsyncSession) -> None:
    await UserService(session).delete(me, Precondition(None))
    await session.commit()

    for answer in (await client.get(f"{AUTH}/me"), await client.patch(f"{AUTH}/me", json={"name": "Ada"})):
        assert answer.status_code == 401
