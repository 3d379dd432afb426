"""HTTP middleware, as plain ASGI classes.

`BaseHTTPMiddleware` is not used: it costs a third of the throughput and breaks context variables.
"""

import asyncio
import re
import time
import traceback
from abc import ABC, abstractmethod
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.config import Environment, Settings
from app.core.exception_handlers import problem

logger = structlog.get_logger(__name__)

REQUEST_ID_HEADER = "X-Request-ID"
_ACCEPTABLE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
# The documentation pages load Swagger UI and ReDoc from the hosts that FastAPI uses.
DOCS_CSP = (
    "default-src 'none'; script-src https://cdn.jsdelivr.net 'unsafe-inline'; worker-src blob:; "
    "style-src https://cdn.jsdelivr.net https://fonts.googleapis.com 'unsafe-inline'; "
    "font-src https://fonts.gstatic.com; img-src 'self' data: https://fastapi.tiangolo.com https://cdn.redoc.ly; "
    "connect-src 'self'; frame-ancestors 'none'"
)
DOCS_PATHS = ("/docs", "/redoc")
PROBE_PATHS = ("/health", "/health/live", "/health/ready")

CORS_ALLOW_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "Last-Event-ID",
    "X-CSRF-Token",
    REQUEST_ID_HEADER,
    # W3C Trace Context and Baggage, which tracing libraries in browsers send with each request
    "traceparent",
    "tracestate",
    "baggage",
)
CORS_EXPOSE_HEADERS = ("ETag", "Link", "Location", "Retry-After", REQUEST_ID_HEADER)


def build_middleware(settings: Settings) -> list[Middleware]:
    """Return the middleware, outermost first."""
    cors = Middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_credentials=settings.cors_credentials,
        allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=[*CORS_ALLOW_HEADERS, *settings.cors_allow_headers],
        expose_headers=[*CORS_EXPOSE_HEADERS, *settings.cors_expose_headers],
    )
    return [
        Middleware(RequestId),
        Middleware(AccessLog),
        Middleware(HeadAsGet),
        Middleware(SecurityHeaders, hsts=settings.env is Environment.PROD),
        *([cors] if settings.cors_origins else []),
        Middleware(RequestTimeout, seconds=settings.request_timeout_seconds),
        Middleware(ErrorBoundary, debug=settings.debug),
        Middleware(BodySizeLimit, max_bytes=settings.max_body_bytes),
    ]


class HttpMiddleware(ABC):
    """Base class that handles HTTP requests and passes lifespan and WebSocket traffic through."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle HTTP requests; pass other traffic to the app."""
        await (self._handle if scope["type"] == "http" else self.app)(scope, receive, send)

    @abstractmethod
    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an HTTP request; implemented by each middleware."""


class RequestId(HttpMiddleware):
    """Assign a request id: the client's if it is safe to log, otherwise a new one."""

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent_id = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        request_id = sent_id if _ACCEPTABLE_REQUEST_ID.fullmatch(sent_id) else uuid4().hex

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self.app(scope, receive, send_with_id)


class AccessLog(HttpMiddleware):
    """Log one line per request, without the query string, which may contain secrets."""

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, ended, status = time.perf_counter(), 0.0, 0

        async def record_response(message: Message) -> None:
            nonlocal status, ended
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                ended = time.perf_counter()  # Work after the response does not delay the client.

        try:
            await self.app(scope, receive, record_response)
        finally:
            # Probes run every few seconds and would flood the log.
            log = logger.debug if scope["path"] in PROBE_PATHS else logger.info
            log(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                duration_ms=round(((ended or time.perf_counter()) - started) * 1000, 2),
                client=scope["client"][0] if scope.get("client") else None,
            )


class HeadAsGet(HttpMiddleware):
    """Respond to `HEAD` as to `GET`, without the body (RFC 9110, section 9.3.2)."""

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body"})  # completes the response, so that an endless one stops

        await self.app({**scope, "method": "GET"}, receive, send_headers)


class SecurityHeaders(HttpMiddleware):
    """Add security headers to every response."""

    def __init__(self, app: ASGIApp, hsts: bool) -> None:
        super().__init__(app)
        self.headers = dict(SECURITY_HEADERS)
        if hsts:
            self.headers["Strict-Transport-Security"] = "max-age=31536000"

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)  # a route may set its own
                headers.setdefault("Cache-Control", "private, no-cache")
                if scope["path"] in DOCS_PATHS:
                    headers["Content-Security-Policy"] = DOCS_CSP
            await send(message)

        await self.app(scope, receive, send_with_headers)


class RequestTimeout(HttpMiddleware):
    """Limit the time until a response starts. A response that has started may stream without a limit."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        super().__init__(app)
        self.seconds = seconds

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        waiting, complete = False, False

        async def track_body() -> Message:
            nonlocal waiting, complete
            waiting = not complete
            message = await receive()
            waiting, complete = False, not message.get("more_body", False)
            return message

        async def lift_timeout(message: Message) -> None:
            limit.reschedule(None)
            await send(message)

        try:
            async with asyncio.timeout(self.seconds) as limit:
                await self.app(scope, track_body, lift_timeout)
        except TimeoutError:
            await self._timeout_response(waiting)(scope, receive, send)

    def _timeout_response(self, waiting_for_body: bool) -> ASGIApp:
        """Return 408 if the client was slow to send its body, otherwise 503."""
        if waiting_for_body:
            detail = f"The request was not received within {self.seconds:g} seconds."
            return problem(HTTPStatus.REQUEST_TIMEOUT, "request_timeout", detail, {"Connection": "close"})
        logger.error("request timed out", limit_seconds=self.seconds)
        detail = f"The request was not processed within {self.seconds:g} seconds."
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, "timeout", detail)


class ErrorBoundary(HttpMiddleware):
    """Log unhandled exceptions and return a 500 response without details."""

    def __init__(self, app: ASGIApp, debug: bool) -> None:
        super().__init__(app)
        self.debug = debug

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        response_started = False

        async def track_start(message: Message) -> None:
            nonlocal response_started
            response_started = True
            await send(message)

        try:
            await self.app(scope, receive, track_start)
        except Exception:
            logger.exception("unhandled exception")
            if response_started:
                return  # The response has started: the server closes the connection, so the client notices the error.
            more: dict[str, Any] = {"traceback": traceback.format_exc().splitlines()} if self.debug else {}
            detail = "Internal server error. Include the request id when you report it."
            response = problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", detail, **more)
            await response(scope, receive, send)


class BodySizeLimit(HttpMiddleware):
    """Reject request bodies that are too large, based on `Content-Length` or on the bytes received so far."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        super().__init__(app)
        self.max_bytes = max_bytes

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        content_length = Headers(scope=scope).get("content-length", "")
        if content_length.isdecimal() and int(content_length) > self.max_bytes:
            too_large = problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "content_too_large", self._detail)
            await too_large(scope, receive, send)
            return
        size = 0

        async def receive_limited() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self.max_bytes:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._detail)
            return message

        await self.app(scope, receive_limited, send)

    @property
    def _detail(self) -> str:
        return f"The request body must not exceed {self.max_bytes:,} bytes."
