"""HTTP middleware."""

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
from tests.waiting import TIMEOUT_SECONDS

SECRET = "postgresql://user:hunter2@db/app"
SHORT_TIMEOUT_SECONDS = 0.01


@pytest.fixture
def settings() -> Settings:
    return Settings(env=Environment.TEST, max_body_bytes=100)


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return create_app_with_failing_routes(settings)


def create_app_with_failing_routes(settings: Settings) -> FastAPI:
    """The app, with additional routes that misbehave."""
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


def client_with_short_timeout(app: ASGIApp) -> AsyncClient:
    """A client of an app with a very short timeout."""
    transport = ASGITransport(middlewares.RequestTimeout(app, seconds=SHORT_TIMEOUT_SECONDS))
    return AsyncClient(transport=transport, base_url="http://test")


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_unhandled_exception_returns_500_without_details(
    client: AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    response = await client.get("/fails", headers={"X-Request-ID": "abc-123"})

    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["request_id"] == response.headers["x-request-id"] == "abc-123"
    assert "hunter2" not in response.text
    assert "RuntimeError" not in response.text


async def test_unhandled_exception_is_logged(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    app = create_app(settings)

    @app.get("/fails")
    async def fails() -> None:
        raise RuntimeError("the reason")

    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        await client.get("/fails", headers={"X-Request-ID": "abc-123"})

    written = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    error = next(line for line in written if line["event"] == "unhandled exception")
    assert error["request_id"] == "abc-123"
    assert "the reason" in error["exception"]
    access = next(line for line in written if line["event"] == "request")
    assert (access["method"], access["path"], access["status"], access["client"]) == ("GET", "/fails", 500, "127.0.0.1")


async def test_debug_includes_the_traceback() -> None:
    app = create_app(Settings(env=Environment.DEV, debug=True))

    @app.get("/fails")
    async def fails() -> None:
        raise RuntimeError("the reason")

    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        assert "RuntimeError: the reason" in (await client.get("/fails")).json()["traceback"]


@pytest.mark.parametrize("path", ["/fails-halfway", "/times-out-halfway"])
async def test_error_after_the_response_started_leaves_it_incomplete(app: FastAPI, path: str) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.Event().wait()  # the client stays connected
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [], "http_version": "1.1"}
    await app(scope, receive, send)

    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[-1]["more_body"] is True


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "new\tline"])
async def test_invalid_request_id_is_replaced(client: AsyncClient, given: str) -> None:
    response = await client.get("/health/live", headers={"X-Request-ID": given})

    assert response.headers["x-request-id"] not in ("", given)


@pytest.mark.parametrize("path", ["/health/live", "/unknown", "/fails", "/docs", "/api/v1/users?limit=0"])
async def test_all_responses_have_security_headers(client: AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers

    for name, value in middlewares.SECURITY_HEADERS.items():
        expected = middlewares.DOCS_CSP if path == "/docs" and name == "Content-Security-Policy" else value
        assert headers[name] == expected
    assert headers["cache-control"] == "private, no-cache"
    assert "server" not in headers


async def test_production_sends_hsts_header() -> None:
    app = create_app(Settings(env=Environment.PROD))
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        assert "max-age" in (await client.get("/health/live")).headers["strict-transport-security"]


async def test_cors_allows_only_configured_origins(client: AsyncClient) -> None:
    preflight_headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    assert (
        "access-control-allow-origin" not in (await client.options("/api/v1/users", headers=preflight_headers)).headers
    )

    app = create_app(Settings(env=Environment.TEST, cors_origins=("https://a.example",), cors_credentials=True))
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as open_client:
        allowed = await open_client.options("/api/v1/users", headers=preflight_headers)
        denied = await open_client.options("/api/v1/users", headers=preflight_headers | {"Origin": "https://b.example"})
    assert allowed.headers["access-control-allow-origin"] == "https://a.example"
    assert allowed.headers["access-control-allow-credentials"] == "true"
    assert "access-control-allow-origin" not in denied.headers


async def test_cors_headers_can_be_added() -> None:
    settings = Settings(
        env=Environment.TEST,
        cors_origins=("https://a.example",),
        cors_allow_headers=("X-Tenant",),
        cors_expose_headers=("X-Total",),
    )
    preflight_headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    async with AsyncClient(transport=ASGITransport(create_app(settings)), base_url="http://test") as client:
        for name in ("Idempotency-Key", "X-Request-ID", "traceparent", "tracestate", "baggage", "X-Tenant"):
            names = preflight_headers | {"Access-Control-Request-Headers": name}
            assert (await client.options("/api/v1/users", headers=names)).status_code == 200
        refused = preflight_headers | {"Access-Control-Request-Headers": "X-Other"}
        assert (await client.options("/api/v1/users", headers=refused)).status_code == 400
        exposed = (await client.get("/health/live", headers=preflight_headers)).headers["access-control-expose-headers"]
    assert exposed == "ETag, Link, Location, Retry-After, X-Request-ID, X-Total"


@pytest.mark.parametrize(
    "path", ["/health/live", "/api/v1/users?limit=0", "/docs", "/openapi.json", "/unknown", "/fails"]
)
async def test_head_has_the_headers_of_get_and_no_body(client: AsyncClient, path: str) -> None:
    same_id = {"X-Request-ID": "abc-123"}
    of_get, of_head = await client.get(path, headers=same_id), await client.head(path, headers=same_id)

    assert (of_head.status_code, dict(of_head.headers)) == (of_get.status_code, dict(of_get.headers))
    assert of_get.content
    assert of_head.content == b""


async def test_head_is_allowed_only_where_get_is(client: AsyncClient) -> None:
    response = await client.head("/reads")

    assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def test_head_of_an_endless_response_ends(app: FastAPI, client: AsyncClient) -> None:
    @app.get("/streams")
    async def streams() -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            while True:
                yield b"data"
                await asyncio.sleep(0)

        return StreamingResponse(body())

    async with asyncio.timeout(TIMEOUT_SECONDS):
        assert (await client.head("/streams")).status_code == 200


@pytest.mark.parametrize("path", ["/docs/", "/api/v1/users/", "/health/live/"])
async def test_trailing_slash_is_not_redirected(client: AsyncClient, path: str) -> None:
    """The target of the redirect would be built from the Host header, which any client can set."""
    response = await client.get(path, headers={"Host": "evil.example"})

    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert "evil.example" not in f"{response.headers}{response.text}"


async def test_response_that_does_not_start_in_time_is_503() -> None:
    app = create_app_with_failing_routes(Settings(env=Environment.TEST, request_timeout_seconds=0.5))
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        response = await client.get("/hangs")

    assert (response.status_code, response.json()["code"]) == (503, "timeout")
    assert response.headers["retry-after"] == "1"


# The following two tests do not depend on the speed of the machine: the response, or the wait for the body, starts
# before other tasks can run.


async def test_started_response_has_no_timeout() -> None:
    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(5 * SHORT_TIMEOUT_SECONDS)
        await send({"type": "http.response.body", "body": b"..."})

    async with client_with_short_timeout(stream) as client:
        assert (await client.get("/")).text == "..."


async def test_body_that_is_not_received_in_time_is_408() -> None:
    async def read(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()

    async def endless_body() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.Event().wait()

    async with client_with_short_timeout(read) as client:
        response = await client.post("/", content=endless_body())

    assert (response.status_code, response.json()["code"]) == (408, "request_timeout")
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize("path", ["/reads", "/reads-raw"])
async def test_too_large_body_is_rejected(client: AsyncClient, path: str) -> None:
    json_type = {"Content-Type": "application/json"}
    announced = await client.post(path, content=b"x" * 101, headers=json_type)
    unannounced = await client.post(path, content=chunks(b"x" * 60, b"x" * 60), headers=json_type)

    for response in (announced, unannounced):
        assert (response.status_code, response.json()["code"]) == (413, "content_too_large")
    assert (await client.post("/reads-raw", content=b"x" * 100)).text == "100"


@pytest.mark.parametrize("body", [b"{", b'{"a": nope}', b"\xff", b"[" * 40 + b"]" * 40, b"[1]", b""])
async def test_malformed_body_is_a_client_error(client: AsyncClient, body: bytes) -> None:
    response = await client.post("/reads", content=body, headers={"Content-Type": "application/json"})

    assert response.status_code in (400, 422)
    assert response.headers["content-type"] == "application/problem+json"


async def test_deeply_nested_body_is_a_client_error() -> None:
    app = create_app(Settings(env=Environment.TEST))

    @app.post("/reads")
    async def reads(body: dict[str, Any]) -> None: ...

    body = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        response = await client.post("/reads", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (400, 422)


async def test_middleware_passes_on_other_protocols_unchanged() -> None:
    passed: list[str] = []

    async def recording_app(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope["type"])

    async def no_op(_: Message | None = None) -> Any: ...

    for middleware in middlewares.build_middleware(Settings(env=Environment.TEST)):
        await middleware.cls(recording_app, *middleware.args, **middleware.kwargs)({"type": "lifespan"}, no_op, no_op)
    assert set(passed) == {"lifespan"}
