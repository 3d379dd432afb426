"""Session and sign-in cookies, and the CSRF token."""

import hashlib
import hmac
from datetime import timedelta

from fastapi import Request, Response

from app.core.config import Environment
from app.core.runtime import runtime_of

SESSION = "__Host-session"
LOGIN = "__Host-login"
CSRF_HEADER = "X-CSRF-Token"


def read_cookie(request: Request, name: str) -> str | None:
    """Return the value of a cookie."""
    return request.cookies.get(_name(request, name))


def set_cookie(request: Request, response: Response, name: str, value: str, lifetime: timedelta) -> None:
    """Set a cookie that scripts cannot read and that browsers do not send with cross-site POST requests.

    Outside production it must work over http, so it has neither `Secure` nor the `__Host-`
    prefix, which requires `Secure`.
    """
    secure = _is_production(request)
    response.set_cookie(
        _name(request, name),
        value,
        int(lifetime.total_seconds()),
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def delete_cookie(request: Request, response: Response, name: str) -> None:
    """Delete a cookie in the browser."""
    set_cookie(request, response, name, "", timedelta(0))


def csrf_token(secret: str) -> str:
    """Return the token that unsafe methods require in addition to the cookie; other sites cannot read it."""
    return hmac.new(secret.encode(), b"csrf", hashlib.sha256).hexdigest()


def has_csrf_token(request: Request, secret: str) -> bool:
    """Return whether a request has the CSRF token of its cookie."""
    return hmac.compare_digest(request.headers.get(CSRF_HEADER, "").encode(), csrf_token(secret).encode())


def _name(request: Request, name: str) -> str:
    return name if _is_production(request) else name.removeprefix("__Host-")


def _is_production(request: Request) -> bool:
    settings = runtime_of(request).settings
    return settings.env is Environment.PROD
