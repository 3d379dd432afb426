"""The trace that a request belongs to, so that events can tell it on.

Source: https://www.w3.org/TR/trace-context/
"""

import re
import secrets
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from app.core.middlewares import HttpMiddleware

HEADER = "traceparent"
# Version, trace, span, flags. All zeros name nothing; a later version may have more at its end.
_USABLE = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


class TraceContext(HttpMiddleware):
    """Go on with the trace of the caller, or begin one."""

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = Headers(scope=scope).get(HEADER, "")
        with bound_contextvars(traceparent=given if _USABLE.fullmatch(given) else new_trace()):
            await self.app(scope, receive, send)


def new_trace() -> str:
    """Begin a trace that nobody records."""
    return f"00-{uuid4().hex}-{secrets.token_hex(8)}-00"
