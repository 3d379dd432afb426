"""To-do endpoints."""

from datetime import UTC, datetime, timedelta

import pytest
from httpx2 import AsyncClient
from sqlmodel import delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.modules.todo.models import Todo
from app.modules.user.models import User
from tests.users import new_client, sign_in_new_user

NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
async def todos(client: AsyncClient) -> str:
    return await sign_in_new_user(client)


async def test_create_returns_todo_and_location(client: AsyncClient, todos: str) -> None:
    response = await client.post(todos, json={"title": "Buy milk", "due_at": "2030-01-01T01:00:00+01:00"})

    assert response.status_code == 201
    todo = response.json()
    assert (todo["title"], todo["notes"], todo["status"]) == ("Buy milk", "", "open")
    assert todo["due_at"] == "2030-01-01T00:00:00Z"
    read = await client.get(response.headers["location"])
    assert read.json() == todo
    assert read.headers["etag"] == response.headers["etag"] == '"1"'


async def test_repeated_idempotency_key_creates_one_todo(client: AsyncClient, todos: str) -> None:
    key = {"Idempotency-Key": "first-try"}
    first = await client.post(todos, json={"title": "Buy milk"}, headers=key)
    second = await client.post(todos, json={"title": "Buy milk"}, headers=key)

    assert first.json() == second.json()
    assert len((await client.get(todos)).json()["items"]) == 1


async def test_todo_of_deleted_owner_is_rejected(client: AsyncClient, todos: str, session: AsyncSession) -> None:
    await delete_users(session)

    # 401 if the credentials become invalid with the account.
    assert (await client.post(todos, json={"title": "Buy milk"})).status_code in {401, 404}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.title"),
        ({"title": ""}, "body.title"),
        ({"title": "x" * 201}, "body.title"),
        ({"title": "Two\nlines"}, "body.title"),
        ({"title": "Buy milk", "notes": "\x00"}, "body.notes"),
        ({"title": "Buy milk", "due_at": "2030-01-01T00:00:00"}, "body.due_at"),
        ({"title": "Buy milk", "due_at": "0001-01-01T00:00:00+14:00"}, "body.due_at"),
        ({"title": "Buy milk", "status": "done"}, "body.status"),
    ],
)
async def test_invalid_todo_names_the_field(client: AsyncClient, todos: str, body: dict[str, str], field: str) -> None:
    response = await client.post(todos, json=body)

    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]


async def test_todos_of_others_are_not_found(client: AsyncClient, todos: str) -> None:
    todo = (await client.post(todos, json={"title": "Buy milk"})).json()
    other_client = new_client(client)
    others = await sign_in_new_user(other_client)

    assert (await other_client.get(others)).json()["items"] == []
    assert (await other_client.get(f"{others}/{todo['id']}")).status_code == 404
    assert (await other_client.patch(f"{others}/{todo['id']}", json={"title": "Mine"})).status_code == 404
    assert (await other_client.delete(f"{others}/{todo['id']}")).status_code == 404


async def test_idempotency_keys_are_scoped_to_owner(client: AsyncClient, todos: str) -> None:
    key, body = {"Idempotency-Key": "first-try"}, {"title": "Buy milk"}
    other_client = new_client(client)
    others = await sign_in_new_user(other_client)
    mine, theirs = (
        await client.post(todos, json=body, headers=key),
        await other_client.post(others, json=body, headers=key),
    )

    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["id"] != theirs.json()["id"]


async def test_todos_are_filtered_by_status_and_due_date(client: AsyncClient, todos: str) -> None:
    for title, days in (("late", 2), ("early", 1), ("never", None)):
        due_at = None if days is None else (NEW_YEAR + timedelta(days=days)).isoformat()
        url = (await client.post(todos, json={"title": title, "due_at": due_at})).headers["location"]
    await client.patch(url, json={"status": "done"})

    async def titles(**query: str) -> list[str]:
        return [todo["title"] for todo in (await client.get(todos, params=query)).json()["items"]]

    assert await titles() == ["late", "early", "never"]
    assert await titles(order="due_at") == ["early", "late"]
    assert await titles(order="-due_at") == ["late", "early"]
    assert await titles(status="done") == ["never"]
    assert await titles(due_from="2030-01-03T00:00:00Z") == ["late"]
    assert await titles(due_before="2030-01-03T00:00:00Z") == ["early"]


async def test_pagination_returns_each_todo_once(client: AsyncClient, todos: str) -> None:
    for n in range(3):
        await client.post(todos, json={"title": f"{n}", "due_at": NEW_YEAR.isoformat()})

    found, url = [], f"{todos}?limit=2&order=due_at"
    while url:
        response = await client.get(url)
        found += [todo["id"] for todo in response.json()["items"]]
        url = response.links.get("next", {}).get("url")

    assert found == sorted(found)
    assert len(found) == 3


async def test_only_valid_status_transitions_are_allowed(client: AsyncClient, todos: str) -> None:
    url = (await client.post(todos, json={"title": "Buy milk"})).headers["location"]

    assert (await client.patch(url, json={"status": "done"})).json()["status"] == "done"
    refused = await client.patch(url, json={"status": "cancelled"})
    assert (refused.status_code, refused.json()["code"]) == (409, "illegal_transition")
    assert refused.json()["detail"] == "The status of a to-do cannot change from done to cancelled."
    assert (await client.patch(url, json={"status": "open", "due_at": None})).status_code == 200


async def test_update_of_old_version_is_rejected(client: AsyncClient, todos: str) -> None:
    created = await client.post(todos, json={"title": "Buy milk"})
    url, seen = created.headers["location"], {"If-Match": created.headers["etag"]}

    assert (await client.patch(url, json={"title": "Buy oats"}, headers=seen)).headers["etag"] == '"2"'
    assert (await client.patch(url, json={"title": "Buy rice"}, headers=seen)).status_code == 412
    assert (await client.delete(url, headers=seen)).status_code == 412
    assert (await client.delete(url, headers={"If-Match": '"2"'})).status_code == 204
    assert (await client.get(url)).status_code == 404


async def test_update_without_changes_keeps_the_version(client: AsyncClient, todos: str) -> None:
    url = (await client.post(todos, json={"title": "Buy milk"})).headers["location"]
    responses = [await client.patch(url, json=body) for body in ({}, {"title": "Buy milk", "status": "open"})]

    assert [response.headers["etag"] for response in responses] == ['"1"', '"1"']


async def test_deleting_a_user_deletes_their_todos(client: AsyncClient, todos: str, session: AsyncSession) -> None:
    await client.post(todos, json={"title": "Buy milk"})
    await delete_users(session)

    assert (await session.exec(select(Todo))).all() == []


async def delete_users(session: AsyncSession) -> None:
    await session.exec(delete(User))
    await session.commit()
