"""Error responses."""

import pytest
from fastapi import FastAPI, HTTPException
from httpx2 import AsyncClient

from app.core import exceptions
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


async def test_too_many_requests_sets_retry_after(app: FastAPI, client: AsyncClient) -> None:
    @app.get("/raises")
    async def raises() -> None:
        raise exceptions.TooManyRequestsError(7)

    answer = await client.get("/raises")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert answer.json()["detail"] == "Too many requests. Try again in 7 s."


async def test_validation_errors_do_not_include_the_input(client: AsyncClient) -> None:
    as_admin(client)
    answer = await client.post("/api/v1/users", json={"email": "hunter2", "name": "Ada"})

    assert answer.status_code == 422
    assert "hunter2" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "code"), [("GET", "/no", "not_found"), ("PUT", "/health", "method_not_allowed")]
)
async def test_framework_errors_are_problem_details(client: AsyncClient, method: str, path: str, code: str) -> None:
    answer = await client.request(method, path)

    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert ("allow" in answer.headers) is (method == "PUT")


async def test_status_without_body_stays_empty(app: FastAPI, client: AsyncClient) -> None:
    @app.get("/raises")
    async def raises() -> None:
        raise HTTPException(304, headers={"ETag": '"1"'})

    answer = await client.get("/raises")
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", '"1"')


async def test_allow_header_lists_all_methods_of_the_path(client: AsyncClient) -> None:
    answer = await client.put("/api/v1/users/00000000-0000-0000-0000-000000000000")

    assert answer.headers["allow"] == "DELETE, GET, PATCH"
