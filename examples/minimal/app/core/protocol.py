"""HTTP connections: uvicorn's protocol, with limits against slow, large and numerous requests."""

from asyncio import TimerHandle, Transport
from http import HTTPStatus
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.core.config import Settings
from app.core.exception_handlers import problem

_IPV4_MAPPED = "::ffff:"

logger = structlog.get_logger(__name__)


class HttpProtocol(HttpToolsProtocol):
    """A client connection.

    uvicorn limits neither the size of headers, nor the time to receive them, nor the number of
    connections. No timer is started for a request whose headers arrive together.
    """

    def __init__(self, settings: Settings, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.settings = settings
        self.opened = self.loop.time()
        self.pending_bytes = 0  # received since the last complete headers or part of a body
        self.header_timer: TimerHandle | None = None
        self.rejection = HTTPStatus.BAD_REQUEST, "The request is not valid HTTP."

    @property
    def is_idle(self) -> bool:
        """Whether the connection is open without a request in progress. Headers may have arrived in part."""
        return (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing()

    def connection_made(self, transport: Transport) -> None:
        """Limit the time to the first request, and the number of connections."""
        super().connection_made(transport)
        if self.client and self.client[0].startswith(_IPV4_MAPPED):  # an IPv4 client of an IPv6 socket
            self.client = self.client[0].removeprefix(_IPV4_MAPPED), self.client[1]
        self._limit_header_time()
        if len(self.connections) > self.settings.max_connections:
            self._close_idle_connection()

    def data_received(self, data: bytes) -> None:
        """Limit the size of headers and trailers, and the time to receive them."""
        self.pending_bytes += len(data)
        super().data_received(data)
        if self.pending_bytes and not self.transport.is_closing():
            self._limit_header_time()
            if self.pending_bytes > self.settings.max_header_bytes:
                self._reject(*self._too_large)

    def on_headers_complete(self) -> None:
        """Reject large headers, and requests without exactly one `Host` header (RFC 9112, section 3.2)."""
        if self.header_timer is not None:
            self.header_timer.cancel()
            self.header_timer = None
        hosts = [name for name, _ in self.headers].count(b"host")
        if hosts != 1 and (hosts or self.parser.get_http_version() != "1.0"):  # ty: ignore[missing-union-attribute]
            self.rejection = HTTPStatus.BAD_REQUEST, "A request must have exactly one Host header."
            raise ValueError(self.rejection)  # the parser stops, and uvicorn calls `send_400_response`
        if self.pending_bytes > self.settings.max_header_bytes < self._header_size():
            self.rejection = self._too_large
            raise ValueError(self.rejection)
        self.pending_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Limit the time to receive the rest of a body after the response."""
        super().on_body(body)
        self.pending_bytes = 0
        self._limit_header_time()

    def send_400_response(self, msg: str) -> None:
        """Respond with a problem document to a request that the parser has rejected."""
        self._reject(*self.rejection)

    @property
    def _too_large(self) -> tuple[HTTPStatus, str]:
        limit = f"{self.settings.max_header_bytes:,} bytes"
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"The request headers must not exceed {limit}."

    def _header_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _limit_header_time(self) -> None:
        if self.is_idle and self.header_timer is None:
            self.header_timer = self.loop.call_later(self.settings.request_timeout_seconds, self._headers_timed_out)

    def _headers_timed_out(self) -> None:
        self.header_timer = None
        if self.is_idle and self.pending_bytes:
            limit = f"{self.settings.request_timeout_seconds:g} seconds"
            self._reject(HTTPStatus.REQUEST_TIMEOUT, f"The request was not received within {limit}.")
        elif self.is_idle:
            self.transport.close()

    def _close_idle_connection(self) -> None:
        """Close the oldest idle connection, preferably one without any request; reject this one if there is none."""
        idle = [c for c in self.connections if isinstance(c, HttpProtocol) and c.is_idle and c is not self]
        if idle:
            min(idle, key=lambda each: (each.cycle is not None, each.opened)).transport.close()
        else:
            logger.warning("connection rejected, limit reached", max_connections=self.settings.max_connections)
            self._reject(HTTPStatus.SERVICE_UNAVAILABLE, "Too many connections.")

    def _reject(self, status: HTTPStatus, detail: str) -> None:
        """Send an error and close the connection. A response that has started is left incomplete."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            response = problem(status, status.name.lower(), detail, {"Connection": "close"})
            headers = b"".join(b"%b: %b\r\n" % header for header in response.raw_headers)
            self.transport.write(STATUS_LINE[status] + headers + b"\r\n" + bytes(response.body))
        self.transport.close()
