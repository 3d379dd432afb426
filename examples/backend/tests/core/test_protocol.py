"""Limits of HTTP connections, with raw sockets."""

import asyncio
import json
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from app.core.config import Environment, Settings
from app.core.protocol import HttpProtocol
from tests.test_cli import has_ipv6
from tests.waiting import TIMEOUT_SECONDS, wait_until

SHORT_SECONDS = 0.01
HOST = b"Host: test\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone"


class Client:
    """A connection to the server."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        """Send bytes, which may be a part of a request."""
        self.writer.write(data)

    async def read(self, size: int = -1) -> bytes:
        """Return `size` bytes, or everything until the server closes the connection."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await (self.reader.read() if size < 0 else self.reader.readexactly(size))


class Server:
    """A server that responds immediately, except at `/slow` and after the start of the response at `/started`."""

    def __init__(self, address: Any) -> None:
        self.address = address
        self.state = ServerState()
        self.may_respond = asyncio.Event()
        self.scopes: list[Scope] = []
        self.writers: list[StreamWriter] = []

    @property
    def connections(self) -> list[HttpProtocol]:
        """The open connections."""
        return [each for each in self.state.connections if isinstance(each, HttpProtocol)]

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond with `done`."""
        self.scopes.append(scope)
        if scope["path"] == "/slow":
            await self.may_respond.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        if scope["path"] == "/started":
            await self.may_respond.wait()
        await send({"type": "http.response.body", "body": b"done"})

    async def open(self, data: bytes) -> Client:
        """Open a connection, and send bytes."""
        reader, writer = await asyncio.open_connection(*self.address)
        self.writers.append(writer)
        writer.write(data)
        return Client(reader, writer)

    async def connect(self, data: bytes = b"") -> Client:
        """Open a connection that the server accepts, and send bytes."""
        known = set(self.state.connections)
        client = await self.open(data)
        await wait_until(lambda: bool(self.state.connections - known))
        return client

    async def exchange(self, data: bytes) -> bytes:
        """Send bytes on a new connection, and return what the server sends until it closes the connection."""
        return await (await self.open(data)).read()


@asynccontextmanager
async def serving(family: int = socket.AF_INET, **limits: Any) -> AsyncGenerator[Server]:
    values: dict[str, Any] = {"request_timeout_seconds": TIMEOUT_SECONDS, **limits}
    settings = Settings(env=Environment.TEST, **values)
    ipv6 = family == socket.AF_INET6
    with socket.create_server(("", 0) if ipv6 else ("127.0.0.1", 0), family=family, dualstack_ipv6=ipv6) as listening:
        server = Server(("127.0.0.1", listening.getsockname()[1]))
        config = uvicorn.Config(
            server.app, interface="asgi3", log_config=None, timeout_keep_alive=settings.keep_alive_seconds
        )
        config.load()
        loop = asyncio.get_running_loop()
        async with await loop.create_server(
            lambda: HttpProtocol(settings, config=config, server_state=server.state, app_state={}), sock=listening
        ):
            try:
                yield server
            finally:
                server.may_respond.set()
                for writer in server.writers:
                    writer.close()
                await wait_until(lambda: not server.state.connections)


def expire_header_timer(server: Server) -> None:
    """Let the time limit of the only connection pass."""
    [connection] = server.connections
    assert connection.header_timer is not None
    connection.header_timer.cancel()
    connection._headers_timed_out()


def error(response: bytes) -> tuple[int, str]:
    """Return the status and the code of an error response, which must be the only response."""
    head, _, body = response.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head
    assert b"\r\ncontent-type: application/problem+json" in head
    content = json.loads(body)
    assert head.startswith(b"HTTP/1.1 %d " % content["status"])
    return content["status"], content["code"]


async def test_connection_serves_several_requests() -> None:
    async with serving() as server:
        client = await server.connect(GET)
        assert await client.read(len(OK)) == OK
        client.send(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\nab" + GET)
        assert await client.read(2 * len(OK)) == OK + OK
        client.send(GET[:20])
        await asyncio.sleep(SHORT_SECONDS)
        client.send(GET[20:])
        assert await client.read(len(OK)) == OK


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
        b"GET / HTTP/1.0\r\n" + HOST + HOST + b"\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab",
        b"no HTTP\r\n\r\n",
    ],
)
async def test_invalid_request_is_400(data: bytes) -> None:
    async with serving() as server:
        assert error(await server.exchange(data)) == (400, "bad_request")
        assert server.scopes == []


async def test_http_1_0_needs_no_host() -> None:
    async with serving() as server:
        assert (await server.exchange(b"GET / HTTP/1.0\r\n\r\n")).endswith(b"\r\n\r\ndone")


@pytest.mark.parametrize(
    "data",
    [
        GET[:-2] + b"a: " + 2000 * b"a" + b"\r\n\r\n",
        GET[:-2] + b"a: " + 2000 * b"a",
        GET[:-2] + 300 * b"a: a\r\n" + b"\r\n",
        b"GET /" + 2000 * b"a",
        b"GET /" + 2000 * b"a" + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        2000 * b"\n",
    ],
    ids=["header", "endless header", "many headers", "endless target", "target", "empty lines"],
)
@pytest.mark.parametrize("parts", [1, 2])
async def test_large_headers_are_431(data: bytes, parts: int) -> None:
    async with serving(max_header_bytes=1024) as server:
        client = await server.connect()
        if parts == 2:
            client.send(data[:1000])
            await wait_until(lambda: any(each.pending_bytes for each in server.connections))
            data = data[1000:]
        client.send(data)
        assert error(await client.read()) == (431, "request_header_fields_too_large")
        assert server.scopes == []


async def test_large_trailers_are_431() -> None:
    async with serving(max_header_bytes=1024) as server:
        client = await server.connect(b"POST /slow HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
        await wait_until(lambda: bool(server.scopes))
        client.send(b"0\r\n" + 300 * b"a: a\r\n")
        assert error(await client.read()) == (431, "request_header_fields_too_large")


async def test_body_is_not_counted_as_headers() -> None:
    async with serving(max_header_bytes=1024) as server:
        client = await server.connect(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 9000\r\n\r\n" + 9000 * b"a")
        assert await client.read(len(OK)) == OK


async def test_response_that_has_started_is_not_mixed_with_an_error() -> None:
    async with serving(max_header_bytes=1024) as server:
        client = await server.connect(b"GET /started HTTP/1.1\r\n" + HOST + b"\r\n")
        assert await client.read(len(OK) - 4) == OK[:-4]
        client.send(b"GET /" + 2000 * b"a")
        assert await client.read() == b""


@pytest.mark.parametrize("data", [GET[:-2], b"G"])
async def test_headers_that_are_not_received_in_time_are_408(data: bytes) -> None:
    async with serving() as server:
        client = await server.connect(data)
        await wait_until(lambda: any(each.pending_bytes for each in server.connections))
        expire_header_timer(server)
        assert error(await client.read()) == (408, "request_timeout")


async def test_connection_without_request_is_closed() -> None:
    async with serving(request_timeout_seconds=SHORT_SECONDS) as server:
        assert await server.exchange(b"") == b""


async def test_timer_of_a_closed_connection_does_nothing() -> None:
    async with serving() as server:
        client = await server.connect()
        [connection] = server.connections
        client.writer.close()
        await wait_until(lambda: not server.connections)
        connection._headers_timed_out()


async def test_request_in_progress_has_no_time_limit_for_headers() -> None:
    async with serving() as server:
        client = await server.connect(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\nG")
        await wait_until(lambda: bool(server.scopes))
        assert server.connections[0].header_timer is None
        server.may_respond.set()
        assert await client.read(len(OK)) == OK

        client.send(b"E")
        await wait_until(lambda: server.connections[0].header_timer is not None)
        expire_header_timer(server)
        assert error(await client.read()) == (408, "request_timeout")


async def test_rest_of_a_body_is_received_for_a_limited_time() -> None:
    async with serving() as server:
        client = await server.connect(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\n")
        assert await client.read(len(OK)) == OK
        client.send(b"a")
        await wait_until(lambda: server.connections[0].header_timer is not None)
        expire_header_timer(server)
        assert await client.read() == b""


async def test_idle_connection_is_closed() -> None:
    async with serving(keep_alive_seconds=1) as server:
        assert await server.exchange(GET) == OK


async def test_connections_without_requests_make_room_first() -> None:
    async with serving(max_connections=2) as server:
        served = await server.connect(GET)
        assert await served.read(len(OK)) == OK
        silent = await server.connect()
        latest = await server.connect(GET)
        assert await silent.read() == b""
        assert await latest.read(len(OK)) == OK

        await server.connect(GET)
        assert await served.read() == b""


async def test_connection_is_rejected_if_all_are_in_use() -> None:
    async with serving(max_connections=1) as server:
        client = await server.connect(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n")
        await wait_until(lambda: bool(server.scopes))
        assert error(await server.exchange(b"")) == (503, "service_unavailable")
        server.may_respond.set()
        assert await client.read(len(OK)) == OK


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
async def test_ipv4_client_of_an_ipv6_socket_has_its_ipv4_address() -> None:
    async with serving(socket.AF_INET6) as server:
        client = await server.connect(GET)
        assert await client.read(len(OK)) == OK
        assert server.scopes[0]["client"][0] == "127.0.0.1"
