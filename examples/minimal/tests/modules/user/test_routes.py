"""User endpoints."""

import asyncio

import pytest
from httpx2 import AsyncClient, Response

from app.core.pagination import Cursor
from tests.factories import UserCreateFactory
from tests.users import as_admin

USERS = "/api/v1/users"
UNKNOWN_ID = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def client(client: AsyncClient) -> AsyncClient:
    as_admin(client)
    return client


@pytest.fixture
def committing_client(committing_client: AsyncClient) -> AsyncClient:
    as_admin(committing_client)
    return committing_client


async def register(client: AsyncClient, **fields: str) -> Response:
    return await client.post(USERS, json=UserCreateFactory.build().model_dump() | fields)


async def test_register_returns_user_and_location(client: AsyncClient) -> None:
    response = await register(client, email="Ada@Example.com", name="Ada")

    assert response.status_code == 201
    user = response.json()
    assert (user["email"], user["name"], user["version"]) == ("ada@example.com", "Ada", 1)
    assert response.headers["etag"] == '"1"'
    assert (await client.get(response.headers["location"])).json() == user


async def test_email_is_unique_ignoring_case(client: AsyncClient) -> None:
    await register(client, email="ada@example.com")
    response = await register(client, email="ADA@EXAMPLE.COM")

    assert response.status_code == 409
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "email_taken"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "ada", "name": "Ada"}, "body.email"),
        ({"email": "ada@example.com"}, "body.name"),
        ({"email": "ada@example.com", "name": ""}, "body.name"),
        ({"email": "ada@example.com", "name": "A\x00"}, "body.name"),
        ({"email": "ada@example.com", "name": "Ada", "admin": True}, "body.admin"),
    ],
)
async def test_invalid_registration_names_the_field(client: AsyncClient, body: dict[str, object], field: str) -> None:
    response = await client.post(USERS, json=body)

    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]


async def test_repeated_idempotency_key_returns_same_user(client: AsyncClient) -> None:
    body, key = UserCreateFactory.build().model_dump(), {"Idempotency-Key": "first-try"}
    first = await client.post(USERS, json=body, headers=key)
    second = await client.post(USERS, json=body, headers=key)

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert first.headers["location"] == second.headers["location"]


async def test_idempotency_key_cannot_be_reused_for_another_request(client: AsyncClient) -> None:
    key = {"Idempotency-Key": "first-try"}
    await client.post(USERS, json=UserCreateFactory.build().model_dump(), headers=key)
    response = await client.post(USERS, json=UserCreateFactory.build().model_dump(), headers=key)

    assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")


async def test_idempotency_key_can_be_reused_after_failure(client: AsyncClient) -> None:
    taken = UserCreateFactory.build().model_dump()
    await client.post(USERS, json=taken)
    key = {"Idempotency-Key": "first-try"}

    assert (await client.post(USERS, json=taken, headers=key)).status_code == 409
    assert (await client.post(USERS, json=UserCreateFactory.build().model_dump(), headers=key)).status_code == 201


async def test_concurrent_requests_with_same_key_create_one_user(committing_client: AsyncClient) -> None:
    body, key = UserCreateFactory.build().model_dump(), {"Idempotency-Key": "all-at-once"}
    responses = await asyncio.gather(*(committing_client.post(USERS, json=body, headers=key) for _ in range(5)))

    assert {response.status_code for response in responses} == {201}
    assert len({response.json()["id"] for response in responses}) == 1
    assert len((await committing_client.get(USERS)).json()["items"]) == 1


async def test_concurrent_requests_with_same_email_create_one_user(committing_client: AsyncClient) -> None:
    body = UserCreateFactory.build().model_dump()
    responses = await asyncio.gather(*(committing_client.post(USERS, json=body) for _ in range(5)))

    assert sorted(response.status_code for response in responses) == [201, 409, 409, 409, 409]


async def test_unknown_user_is_not_found(client: AsyncClient) -> None:
    response = await client.get(f"{USERS}/00000000-0000-0000-0000-000000000000")

    assert (response.status_code, response.json()["code"]) == (404, "user_not_found")


async def test_pagination_returns_each_user_once(client: AsyncClient) -> None:
    registered = [(await register(client)).json()["id"] for _ in range(5)]

    found, url = [], f"{USERS}?limit=2"
    while url:
        response = await client.get(url)
        found += [user["id"] for user in response.json()["items"]]
        url = response.links.get("next", {}).get("url")

    assert found == registered


@pytest.mark.parametrize(
    ("order", "expected"),
    [("created_at", "bca"), ("-created_at", "acb"), ("email", "abc"), ("-email", "cba")],
)
async def test_users_are_listed_in_requested_order(client: AsyncClient, order: str, expected: str) -> None:
    for letter in "bca":
        await register(client, email=f"{letter}@example.com")

    found, cursor = "", ""
    while cursor is not None:
        page = (
            await client.get(USERS, params={"order": order, "limit": 1} | ({"cursor": cursor} if cursor else {}))
        ).json()
        found += page["items"][0]["email"][0]
        cursor = page["next"]

    assert found == expected


async def test_users_are_filtered_by_email(client: AsyncClient) -> None:
    await register(client)
    await register(client, email="ada@example.com")

    page = (await client.get(USERS, params={"email": "ADA@example.com"})).json()

    assert [user["email"] for user in page["items"]] == ["ada@example.com"]


@pytest.mark.parametrize(
    "cursor",
    [
        "nonsense",
        "%",
        "a" * 1001,
        "W10",  # []
        "W10" * 300,
        "WzEsMiwzXQ",  # [1,2,3]
        "WyJlbWFpbCIsImEiLCJiIl0",  # for another sort order
        "WyJjcmVhdGVkX2F0Iiwibm93IiwibWUiXQ",  # ["created_at","now","me"]
        "WyJjcmVhdGVkX2F0IiwiXHUwMDAwIiwibWUiXQ",  # with a null byte
        Cursor("created_at", "now", UNKNOWN_ID),
        Cursor("created_at", "2020-01-01T00:00:00", "me"),
    ],
)
async def test_invalid_cursor_is_rejected(client: AsyncClient, cursor: str | Cursor) -> None:
    assert (await client.get(USERS, params={"cursor": str(cursor)})).status_code == 422


@pytest.mark.parametrize("moment", ["2020-01-01T00:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
async def test_forged_cursor_is_rejected_or_harmless(client: AsyncClient, moment: str) -> None:
    cursor = str(Cursor("created_at", moment, UNKNOWN_ID))

    assert (await client.get(USERS, params={"cursor": cursor})).status_code == 200


async def test_update_keeps_omitted_fields(client: AsyncClient) -> None:
    created = await register(client, email="ada@example.com", name="Ada")
    response = await client.patch(created.headers["location"], json={"name": "Ada Lovelace"})

    assert response.status_code == 200
    assert response.headers["etag"] == '"2"'
    changed = response.json()
    assert (changed["email"], changed["name"]) == ("ada@example.com", "Ada Lovelace")
    assert changed["updated_at"] > changed["created_at"]


async def test_update_rejects_taken_email_and_null(client: AsyncClient) -> None:
    await register(client, email="ada@example.com")
    url = (await register(client)).headers["location"]

    assert (await client.patch(url, json={"email": "Ada@example.com"})).status_code == 409
    assert (await client.patch(url, json={"name": None})).status_code == 422


async def test_update_of_old_version_is_rejected(client: AsyncClient) -> None:
    url = (await register(client)).headers["location"]
    seen = (await client.get(url)).headers["etag"]

    assert (await client.patch(url, json={"name": "First"}, headers={"If-Match": seen})).status_code == 200
    late = await client.patch(url, json={"name": "Second"}, headers={"If-Match": seen})
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    assert (await client.delete(url, headers={"If-Match": seen})).status_code == 412
    assert (await client.get(url)).json()["name"] == "First"


async def test_concurrent_updates_are_not_lost_silently(committing_client: AsyncClient) -> None:
    url = (await register(committing_client)).headers["location"]
    responses = await asyncio.gather(*(committing_client.patch(url, json={"name": f"Name {n}"}) for n in range(5)))

    done = sum(response.status_code == 200 for response in responses)
    assert {response.status_code for response in responses} <= {200, 412}
    assert (await committing_client.get(url)).json()["version"] == 1 + done


async def test_deleted_user_is_not_found(client: AsyncClient) -> None:
    url = (await register(client)).headers["location"]

    assert (await client.delete(url)).status_code == 204
    assert (await client.get(url)).status_code == 404
    assert (await client.delete(url)).status_code == 404
