"""Maps exceptions to error responses (RFC 9457, `application/problem+json`).

The status depends on the kind of an error, so that modules can define errors without changing this file.
"""

from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from http.client import responses
from typing import Any

import structlog
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException

from app.core.exceptions import (
    ConflictError,
    DomainError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    PreconditionFailedError,
    TooManyRequestsError,
    UnauthenticatedError,
    UnavailableError,
)

STATUS_BY_KIND: Mapping[type[DomainError], HTTPStatus] = {
    UnauthenticatedError: HTTPStatus.UNAUTHORIZED,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    PreconditionFailedError: HTTPStatus.PRECONDITION_FAILED,
    InvalidError: HTTPStatus.UNPROCESSABLE_ENTITY,
    TooManyRequestsError: HTTPStatus.TOO_MANY_REQUESTS,
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    DomainError: HTTPStatus.BAD_REQUEST,
}

# Headers that RFC 9110 requires or recommends for these statuses.
REQUIRED_HEADERS: Mapping[int, Mapping[str, str]] = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "1"},
}


# Messages for invalid fields by Pydantic's error type, with values of its context; other types keep Pydantic's message.
FIELD_MESSAGES: Mapping[str, str] = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "json_invalid": "is not valid JSON",
    "string_type": "must be a string",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "contains characters that are not allowed",
    "int_parsing": "must be an integer",
    "uuid_parsing": "must be a UUID",
    "timezone_aware": "must have a time zone",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "enum": "must be {expected}",
}
# Messages instead of those that repeat the title.
STATUS_MESSAGES: Mapping[int, str] = {
    HTTPStatus.NOT_FOUND: "There is no such path.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This method is not allowed here; see the Allow header.",
}
STATUSES_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED)
# Python 3.13 renamed these statuses. The codes are the same with every version.
STATUS_CODES: Mapping[int, str] = {
    413: "content_too_large",
    414: "uri_too_long",
    416: "range_not_satisfiable",
    422: "unprocessable_content",
}


def status_for(error: type[DomainError]) -> HTTPStatus:
    """Return the HTTP status of an error class, according to the kind that it derives from."""
    return next(status for kind, status in STATUS_BY_KIND.items() if issubclass(error, kind))


def problem(status: int, code: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any) -> JSONResponse:
    """Build an error response. Clients see `detail`, so it must not contain internal details.

    `more` are additional members, such as the list of invalid fields.
    """
    content = {
        "type": "about:blank",
        "title": _phrase(status),
        "status": int(status),
        "code": code,
        "detail": detail,
        "request_id": structlog.contextvars.get_contextvars().get("request_id"),
        **more,
    }
    headers = {**REQUIRED_HEADERS.get(status, {}), **(headers or {})}
    return JSONResponse(content, int(status), headers, media_type="application/problem+json")


def _phrase(status: int) -> str:
    """Return the standard phrase of a status, or that of its class (RFC 9110, section 15)."""
    return responses.get(status) or ("Client Error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "Server Error")


def error_response(error: DomainError) -> JSONResponse:
    """Convert a domain error to a response.

    Raising the error has the same effect, but rolls back the transaction. A route whose
    changes must be committed returns this response instead.
    """
    headers = {"Retry-After": str(error.retry_after_seconds)} if isinstance(error, TooManyRequestsError) else None
    return problem(status_for(type(error)), error.code, str(error), headers)


async def _domain_error(_: Request, error: DomainError) -> JSONResponse:
    return error_response(error)


async def _invalid_request(_: Request, error: RequestValidationError) -> JSONResponse:
    """Describe each invalid field, without the value that was sent: it may be a password."""
    fields = [_invalid_field(each) for each in error.errors()]
    detail = "; ".join(f"{f['field']}: {f['message']}" for f in fields)
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", detail, errors=fields)


def _invalid_field(error: Mapping[str, Any]) -> dict[str, str]:
    location, kind, context = error["loc"], error["type"], error.get("ctx", {})
    if kind.endswith("_type") and error["input"] is None:
        message = "must not be null"
    elif kind in FIELD_MESSAGES:
        message = FIELD_MESSAGES[kind].format_map(context).replace(" 1 characters", " 1 character")
    else:
        message = error["msg"].removeprefix("Value error, ")
    if kind == "json_invalid" and isinstance(location[-1], int):  # FastAPI appends the position to the location
        *location, position = location
        message = f"{message} (position {position})"
    return {"field": ".".join(map(str, location)), "message": message, "code": kind}


async def _http_exception(request: Request, error: HTTPException) -> Response:
    """Convert errors of the framework: unknown path, unsupported method, malformed body."""
    status = error.status_code
    if status in STATUSES_WITHOUT_BODY:
        return Response(status_code=status, headers=error.headers)
    phrase = _phrase(status)
    headers = _allow_header(request) if status == HTTPStatus.METHOD_NOT_ALLOWED else error.headers
    detail = STATUS_MESSAGES.get(status, phrase) if error.detail in ("", phrase) else str(error.detail)
    return problem(status, _code(status), detail, headers)


def _code(status: int) -> str:
    return STATUS_CODES.get(status) or (HTTPStatus(status).name.lower() if status in responses else f"status_{status}")


def _allow_header(request: Request) -> dict[str, str]:
    """List the methods of all routes at this path (RFC 9110 §10.2.1); Starlette lists those of the first route only."""
    methods: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        if route.methods and route.path_regex.match(request.url.path):
            methods |= route.methods
    if "GET" in methods:
        methods.add("HEAD")  # see middlewares.HeadAsGet
    return {"Allow": ", ".join(sorted(methods))}


# All other exceptions are handled by `middlewares.ErrorBoundary`.
HANDLERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    DomainError: _domain_error,
    RequestValidationError: _invalid_request,
    HTTPException: _http_exception,
}
