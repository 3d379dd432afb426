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
OTHER_DEVICE = Device(client="A telephone", address="192.0.2.1")
LIFETIME = timedelta(days=14)


@pytest.fixture
async def client(client: AsyncClient) -> AsyncClient:
    await sign_in_new_user(client)
    return client


@pytest.fixture
async def user_id(client: AsyncClient) -> UUID:
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


async def test_accounts_of_others_require_admin_scope(client: AsyncClient, user_id: UUID) -> None:
    for method, url in (
        ("GET", "/api/v1/users"),
        ("GET", f"/api/v1/users/{user_id}"),
        ("DELETE", f"/api/v1/users/{user_id}"),
    ):
        response = await client.request(method, url)
        assert (response.status_code, response.json()["code"]) == (403, "not_allowed")


async def test_sessions_are_listed_and_ended(client: AsyncClient, user_id: UUID, session: AsyncSession) -> None:
    login = await AuthService(session).start_session(user_id, OTHER_DEVICE, LIFETIME)
    await session.commit()
    listed = {entry["id"]: entry for entry in (await client.get(f"{AUTH}/sessions")).json()}
    other_session = listed[str(login.id)]

    assert (other_session["client"], other_session["address"], other_session["current"]) == (
        "A telephone",
        "192.0.2.1",
        False,
    )
    assert (await client.delete(f"{AUTH}/sessions/{login.id}")).status_code == 204
    repeated = await client.delete(f"{AUTH}/sessions/{login.id}")
    assert (repeated.status_code, repeated.json()["code"]) == (404, "session_not_found")


async def test_sessions_of_others_are_not_found(client: AsyncClient, user_id: UUID, session: AsyncSession) -> None:
    login = await AuthService(session).start_session(user_id, OTHER_DEVICE, LIFETIME)
    await session.commit()
    other_client = new_client(client)
    await sign_in_new_user(other_client)

    assert (await other_client.delete(f"{AUTH}/sessions/{login.id}")).status_code == 404
    assert (await other_client.delete(f"{AUTH}/sessions")).status_code == 204
    assert [entry.id for entry in await AuthService(session).sessions(user_id) if entry.id == login.id] == [login.id]


async def test_route_can_require_admin_scope(app: FastAPI, client: AsyncClient, session: AsyncSession) -> None:
    @app.get("/administrators")
    async def read(admin: CurrentAdmin) -> UUID:
        return admin.user_id

    assert (await new_client(client).get("/administrators")).status_code == 401
    assert (await client.get("/administrators")).status_code == 403
    response = await client.get("/administrators", headers=await admin_headers(app))
    assert response.status_code == 200


async def test_owner_is_the_current_user() -> None:
    user = Principal(uuid4(), frozenset(), utc_now())
    assert await get_owner(user) == user.user_id


async def test_account_of_deleted_user_is_unauthenticated(
    client: AsyncClient, user_id: UUID, session: AsyncSession
) -> None:
    await UserService(session).delete(user_id, Precondition(None))
    await session.commit()

    for response in (await client.get(f"{AUTH}/me"), await client.patch(f"{AUTH}/me", json={"name": "Ada"})):
        assert response.status_code == 401
