"""What happens to every request."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from httpx2 import ASGITransport, AsyncClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core import middlewares
from app.core.config import Environment, Settings
from app.main import create_app

SECRET = "postgresql://user:hunter2@db/app"
LIMIT_SECONDS = 0.01


@pytest.fixture
def settings() -> Settings:
    return Settings(env=Environment.TEST, max_body_bytes=100)


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return misbehaving(settings)


def misbehaving(settings: Settings) -> FastAPI:
    """The app, with some routes that do what they should not."""
    app = create_app(settings)

    @app.get("/fails")
    async def fails() -> None:
        raise RuntimeError(SECRET)

    @app.get("/fails-halfway")
    async def fails_halfway() -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            yield b"half"
            raise RuntimeError(SECRET)

        return StreamingResponse(body())

    @app.get("/times-out-halfway")
    async def times_out_halfway() -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            yield b"half"
            raise TimeoutError

        return StreamingResponse(body())

    @app.get("/hangs")
    async def hangs() -> None:
        await asyncio.Event().wait()

    @app.post("/reads")
    async def reads(body: dict[str, Any]) -> dict[str, Any]:
        return body

    @app.post("/reads-raw")
    async def reads_raw(request: Request) -> int:
        return len(await request.body())

    return app


def limited(app: ASGIApp) -> AsyncClient:
    """A client of an app whose answers must begin very soon."""
    transport = ASGITransport(middlewares.TimeLimit(app, seconds=LIMIT_SECONDS))
    return AsyncClient(transport=transport, base_url="http://test")


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_an_unexpected_error_says_nothing_and_is_logged(
    client: AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = await client.get("/fails", headers={"X-Request-ID": "abc-123"})

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "abc-123"
    assert "hunter2" not in answer.text
    assert "RuntimeError" not in answer.text


async def test_what_went_wrong_is_in_the_log(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    app = create_app(settings)

    @app.get("/fails")
    async def fails() -> None:
        raise RuntimeError("the reason")

    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        await client.get("/fails", headers={"X-Request-ID": "abc-123"})

    written = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    error = next(line for line in written if line["event"] == "unexpected error")
    assert error["request_id"] == "abc-123"
    assert "the reason" in error["exception"]
    access = next(line for line in written if line["event"] == "request")
    assert (access["method"], access["path"], access["status"], access["client"]) == ("GET", "/fails", 500, "127.0.0.1")


async def test_debug_shows_the_traceback_to_the_developer() -> None:
    app = create_app(Settings(env=Environment.DEV, debug=True))

    @app.get("/fails")
    async def fails() -> None:
        raise RuntimeError("the reason")

    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        assert "RuntimeError: the reason" in (await client.get("/fails")).json()["traceback"]


@pytest.mark.parametrize("path", ["/fails-halfway", "/times-out-halfway"])
async def test_an_error_after_the_start_leaves_the_answer_unfinished(app: FastAPI, path: str) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.Event().wait()  # the client stays
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [], "http_version": "1.1"}
    await app(scope, receive, send)

    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[-1]["more_body"] is True


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "new\tline"])
async def test_a_strange_request_id_is_replaced(client: AsyncClient, given: str) -> None:
    answer = await client.get("/health/live", headers={"X-Request-ID": given})

    assert answer.headers["x-request-id"] not in ("", given)


@pytest.mark.parametrize("path", ["/health/live", "/unknown", "/fails", "/docs", "/api/v1/users?limit=0"])
async def test_every_answer_carries_the_security_headers(client: AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers

    for name, value in middlewares.SECURITY_HEADERS.items():
        expected = middlewares.DOCS_POLICY if path == "/docs" and name == "Content-Security-Policy" else value
        assert headers[name] == expected
    assert headers["cache-control"] == "private, no-cache"
    assert "server" not in headers


async def test_production_insists_on_https() -> None:
    app = create_app(Settings(env=Environment.PROD))
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        assert "max-age" in (await client.get("/health/live")).headers["strict-transport-security"]


async def test_pages_of_other_origins_are_refused_unless_named(client: AsyncClient) -> None:
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in (await client.options("/api/v1/users", headers=asked)).headers

    app = create_app(Settings(env=Environment.TEST, cors_origins=("https://a.example",), cors_credentials=True))
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as open_client:
        allowed = await open_client.options("/api/v1/users", headers=asked)
        denied = await open_client.options("/api/v1/users", headers=asked | {"Origin": "https://b.example"})
    assert allowed.headers["access-control-allow-origin"] == "https://a.example"
    assert allowed.headers["access-control-allow-credentials"] == "true"
    assert "access-control-allow-origin" not in denied.headers


async def test_an_answer_that_does_not_begin_in_time_is_given_up() -> None:
    app = misbehaving(Settings(env=Environment.TEST, request_timeout_seconds=0.5))
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        answer = await client.get("/hangs")

    assert (answer.status_code, answer.json()["code"]) == (503, "timeout")
    assert answer.headers["retry-after"] == "1"


# The two below begin to answer, and to read, before anything else can run: on no machine is the limit over by then.


async def test_an_answer_that_has_begun_may_take_its_time() -> None:
    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(5 * LIMIT_SECONDS)
        await send({"type": "http.response.body", "body": b"..."})

    async with limited(stream) as client:
        assert (await client.get("/")).text == "..."


async def test_a_body_that_does_not_arrive_is_given_up() -> None:
    async def read(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()

    async def endless() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.Event().wait()

    async with limited(read) as client:
        answer = await client.post("/", content=endless())

    assert (answer.status_code, answer.json()["code"]) == (408, "request_timeout")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("path", ["/reads", "/reads-raw"])
async def test_a_body_that_is_too_large_is_refused(client: AsyncClient, path: str) -> None:
    json_type = {"Content-Type": "application/json"}
    announced = await client.post(path, content=b"x" * 101, headers=json_type)
    unannounced = await client.post(path, content=chunks(b"x" * 60, b"x" * 60), headers=json_type)

    for answer in (announced, unannounced):
        assert (answer.status_code, answer.json()["code"]) == (413, "content_too_large")
    assert (await client.post("/reads-raw", content=b"x" * 100)).text == "100"


@pytest.mark.parametrize("body", [b"{", b'{"a": nope}', b"\xff", b"[" * 40 + b"]" * 40, b"[1]", b""])
async def test_a_malformed_body_is_the_clients_fault(client: AsyncClient, body: bytes) -> None:
    answer = await client.post("/reads", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_deeply_nested_body_is_the_clients_fault() -> None:
    app = create_app(Settings(env=Environment.TEST))

    @app.post("/reads")
    async def reads(body: dict[str, Any]) -> None: ...

    body = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        answer = await client.post("/reads", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)


async def test_other_traffic_passes_by() -> None:
    passed: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope["type"])

    async def nothing(_: Message | None = None) -> Any: ...

    for middleware in middlewares.stack(Settings(env=Environment.TEST)):
        await middleware.cls(inner, *middleware.args, **middleware.kwargs)({"type": "lifespan"}, nothing, nothing)
    assert set(passed) == {"lifespan"}
