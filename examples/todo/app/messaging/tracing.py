"""Trace context of requests, which published events pass on.

Source: https://www.w3.org/TR/trace-context/
"""

import re
import secrets
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from app.core.logging import hidden_on_console
from app.core.middlewares import HttpMiddleware

HEADER = "traceparent"
hidden_on_console.add(HEADER)
# Version, trace id, span id, flags. Ids of zeros are invalid; later versions may append fields.
_VALID_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


class TraceContext(HttpMiddleware):
    """Continue the caller's trace, or start one."""

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        traceparent = Headers(scope=scope).get(HEADER, "")
        if not _VALID_TRACEPARENT.fullmatch(traceparent):
            traceparent = new_traceparent()
        with bound_contextvars(traceparent=traceparent):
            await self.app(scope, receive, send)


def new_traceparent() -> str:
    """Return a new trace, marked as not recorded."""
    return f"00-{uuid4().hex}-{secrets.token_hex(8)}-00"
