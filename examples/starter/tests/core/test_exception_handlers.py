"""Error responses."""

from http import HTTPStatus
from typing import Literal

import pytest
from fastapi import FastAPI, HTTPException
from httpx2 import AsyncClient
from pydantic import Field, field_validator

from app.core import exceptions
from app.core.schemas import RequestModel
from tests.users import as_admin


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (exceptions.UnauthenticatedError, 401),
        (exceptions.ForbiddenError, 403),
        (exceptions.NotFoundError, 404),
        (exceptions.ConflictError, 409),
        (exceptions.PreconditionFailedError, 412),
        (exceptions.InvalidError, 422),
        (exceptions.UnavailableError, 503),
        (exceptions.DomainError, 400),
    ],
)
async def test_domain_errors_map_to_statuses(
    app: FastAPI, client: AsyncClient, kind: type[exceptions.DomainError], status: int
) -> None:
    @app.get("/raises")
    async def raises() -> None:
        raise kind("Visible to the client.")

    answer = await client.get("/raises", headers={"X-Request-ID": "abc"})

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() | {"title": ""} == {
        "type": "about:blank",
        "title": "",
        "status": status,
        "code": kind.code,
        "detail": "Visible to the client.",
        "request_id": "abc",
    }
    assert ("retry-after" in answer.headers) is (status == 503)
    assert ("www-authenticate" in answer.headers) is (status == 401)


@pytest.mark.parametrize(("seconds", "wait"), [(7, "7 s"), (60, "60 s"), (61, "2 minutes"), (898, "15 minutes")])
async def test_too_many_requests_sets_retry_after(app: FastAPI, client: AsyncClient, seconds: int, wait: str) -> None:
    @app.get("/raises")
    async def raises() -> None:
        raise exceptions.TooManyRequestsError(seconds)

    answer = await client.get("/raises")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, f"{seconds}")
    assert answer.json()["detail"] == f"Too many requests. Try again in {wait}."


async def test_validation_errors_do_not_include_the_input(client: AsyncClient) -> None:
    as_admin(client)
    answer = await client.post("/api/v1/users", json={"email": "hunter2", "name": "Ada"})

    assert answer.status_code == 422
    assert "hunter2" not in answer.text


class Thing(RequestModel):
    name: str = Field(min_length=1, max_length=9, pattern="^[a-z]*$")
    size: int = Field(default=1, ge=1, le=5)
    day: Literal["today"] = "today"

    @field_validator("name")
    @classmethod
    def _reject(cls, value: str) -> str:
        if value == "bad":
            raise ValueError("must not be bad")
        return value


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("{}", "body.name: is required"),
        ('{"name": null}', "body.name: must not be null"),
        ('{"name": 1}', "body.name: must be a string"),
        ('{"name": ""}', "body.name: must have at least 1 character"),
        ('{"name": "aaaaaaaaaa"}', "body.name: must have at most 9 characters"),
        ('{"name": "A"}', "body.name: contains characters that are not allowed"),
        ('{"name": "bad"}', "body.name: must not be bad"),
        ('{"name": "a", "size": 0, "more": 1}', "body.size: must be at least 1; body.more: is not a known field"),
        ('{"name": "a", "day": "never"}', "body.day: Input should be 'today'"),
        ("{name}", "body: is not valid JSON (position 1)"),
    ],
)
async def test_invalid_fields_are_described_plainly(app: FastAPI, client: AsyncClient, body: str, detail: str) -> None:
    @app.post("/things")
    async def create(thing: Thing) -> Thing:
        return thing

    answer = await client.post("/things", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["detail"]) == (422, detail)


@pytest.mark.parametrize(
    ("method", "path", "code", "detail"),
    [
        ("GET", "/no", "not_found", "There is no such path."),
        ("PUT", "/health", "method_not_allowed", "This method is not allowed here; see the Allow header."),
    ],
)
async def test_framework_errors_are_problem_details(
    client: AsyncClient, method: str, path: str, code: str, detail: str
) -> None:
    answer = await client.request(method, path)

    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["detail"]) == (code, detail)
    assert ("allow" in answer.headers) is (method == "PUT")


@pytest.mark.parametrize("status", [204, 205, 304])
async def test_status_without_body_stays_empty(app: FastAPI, client: AsyncClient, status: int) -> None:
    @app.get("/raises")
    async def raises() -> None:
        raise HTTPException(status, headers={"ETag": '"1"'})

    answer = await client.get("/raises")
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (status, b"", '"1"')


@pytest.mark.parametrize(
    ("status", "title", "code"),
    [
        (413, None, "content_too_large"),
        (414, None, "uri_too_long"),
        (416, None, "range_not_satisfiable"),
        (418, "I'm a Teapot", "im_a_teapot"),
        (422, None, "unprocessable_content"),
        (499, "Client Error", "status_499"),
        (520, "Server Error", "status_520"),
        (599, "Server Error", "status_599"),
    ],
)
@pytest.mark.parametrize("detail", [None, "Visible to the client."])
async def test_status_of_http_exceptions_is_kept(
    app: FastAPI, client: AsyncClient, status: int, title: str | None, code: str, detail: str | None
) -> None:
    @app.get("/raises")
    async def raises() -> None:
        raise HTTPException(status, detail)

    answer = await client.get("/raises")
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["title"] == (title or HTTPStatus(status).phrase)  # some phrases depend on the version of Python
    assert problem["detail"] == (detail or problem["title"])


async def test_allow_header_lists_all_methods_of_the_path(client: AsyncClient) -> None:
    answer = await client.put("/api/v1/users/00000000-0000-0000-0000-000000000000")

    assert answer.headers["allow"] == "DELETE, GET, HEAD, PATCH"
