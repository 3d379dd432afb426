"""Idempotency keys: replayed responses, scope and expiry."""

from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlmodel import col, update
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.schemas import EntityModel, RequestModel
from app.db.base import Entity, utc_now
from app.db.idempotency import KEY_LIFETIME, IdempotencyDep, IdempotencyKey


class NumberCreate(RequestModel):
    value: int
    unit: str = "m"


class NumberRead(EntityModel):
    value: int


class Number(Entity):
    value: int


class Numbers:
    def __init__(self) -> None:
        self.created: list[Number] = []

    async def create(self, body: NumberCreate) -> Number:
        self.created.append(Number(id=UUID(int=len(self.created)), value=body.value))
        return self.created[-1]


@pytest.fixture
def numbers(app: FastAPI) -> Numbers:
    numbers = Numbers()

    @app.post("/numbers", status_code=201)
    @app.post("/others", status_code=201)
    async def create(body: NumberCreate, idempotency: IdempotencyDep) -> NumberRead:
        await idempotency.claim(body)
        return idempotency.created(NumberRead.model_validate(await numbers.create(body)))

    return numbers


@pytest.fixture
def route_without_claim(app: FastAPI) -> None:
    @app.post("/numbers", status_code=201)
    async def create(body: NumberCreate, idempotency: IdempotencyDep) -> NumberRead:
        return idempotency.created(NumberRead.model_validate(Number(value=body.value)))


@pytest.fixture
def route_without_stored_response(app: FastAPI) -> None:
    @app.post("/numbers", status_code=201)
    async def create(body: NumberCreate, idempotency: IdempotencyDep) -> NumberRead:
        await idempotency.claim(body)
        return NumberRead.model_validate(Number(value=body.value))


async def post(client: AsyncClient, path: str = "/numbers", key: str | None = "key", value: int = 7) -> Response:
    return await client.post(path, json={"value": value}, headers={"Idempotency-Key": key} if key else {})


async def update_stored_key(session: AsyncSession, **changes: object) -> None:
    changes = changes or {"expires_at": utc_now() - KEY_LIFETIME}
    await session.exec(update(IdempotencyKey).values(changes).where(col(IdempotencyKey.id) != ""))
    await session.commit()


async def test_requests_without_a_key_are_not_deduplicated(client: AsyncClient, numbers: Numbers) -> None:
    first, second = await post(client, key=None), await post(client, key=None)

    assert first.headers["location"] == f"/numbers/{numbers.created[0].id}"
    assert first.headers["etag"] == '"1"'
    assert first.json()["id"] != second.json()["id"]


async def test_repeated_request_with_a_key_returns_the_same_response(client: AsyncClient, numbers: Numbers) -> None:
    first, second = await post(client), await post(client)

    assert len(numbers.created) == 1
    assert (second.status_code, second.content) == (first.status_code, first.content)
    for header in ("location", "etag", "content-type"):
        assert second.headers[header] == first.headers[header]


async def test_stored_response_of_an_older_release_is_returned_unchanged(
    client: AsyncClient, numbers: Numbers, session: AsyncSession
) -> None:
    await post(client)
    await update_stored_key(session, body='{"of": "an older release"}')

    assert (await post(client)).json() == {"of": "an older release"}


async def test_key_is_bound_to_the_path(client: AsyncClient, numbers: Numbers) -> None:
    for path in ("/numbers", "/others", "/numbers"):
        await post(client, path)

    assert len(numbers.created) == 2


async def test_key_is_bound_to_the_body(client: AsyncClient, numbers: Numbers) -> None:
    await post(client)
    response = await post(client, value=8)

    assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.usefixtures("route_without_claim")
async def test_route_must_claim_the_key(client: AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    assert (await post(client)).status_code == 500
    assert "Call claim() before created()." in caplog.text


@pytest.mark.usefixtures("route_without_stored_response")
async def test_route_must_store_the_response(client: AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    assert (await post(client)).status_code == 201
    assert (await post(client)).status_code == 500
    assert "called claim() but not created()" in caplog.text


async def test_expired_key_can_be_reused(client: AsyncClient, numbers: Numbers, session: AsyncSession) -> None:
    await post(client)
    await update_stored_key(session)

    assert (await post(client, value=8)).status_code == 201
