"""The OpenAPI document: stable operation ids, and one schema for all errors.

`uv run app openapi export` writes it to a file, for client generators and reviews.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from app import __version__
from app.core.exception_handlers import status_for
from app.core.exceptions import DomainError

Responses = dict[int | str, dict[str, Any]]


class InvalidField(BaseModel):
    """An invalid field of a request."""

    field: str = Field(examples=["body.email"])
    message: str = Field(examples=["is required"])
    code: str = Field(examples=["missing"])


class Problem(BaseModel):
    """Error response (RFC 9457)."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(description="The status as text.", examples=["Conflict"])
    status: int = Field(examples=[409])
    code: str = Field(description="Stable, machine-readable error code.", examples=["email_taken"])
    detail: str = Field(description="Human-readable explanation.", examples=["This email address is already in use."])
    request_id: str | None = Field(description="Include it when you report the problem.", examples=["4f9d2c"])
    errors: list[InvalidField] | None = Field(default=None, description="The invalid fields, with status 422.")


EVERY_ROUTE: Responses = {
    400: {"description": "Malformed request"},
    408: {"description": "The request was not received in time"},
    413: {"description": "The request body is too large"},
    422: {"description": "Invalid request"},
    500: {"description": "Internal server error"},
    503: {"description": "Overloaded, stopping, or a dependency is unavailable; try again later"},
}


@cache
def api_metadata() -> Mapping[str, str]:
    """Return the name, title and description of the API from `about.toml`."""
    return tomllib.loads(files("app").joinpath("about.toml").read_text("utf-8"))


def problems(*errors: type[DomainError]) -> Responses:
    """Document the domain errors of a route: `responses=problems(EmailTaken)`."""
    documented: Responses = {}
    for error in errors:
        entry = documented.setdefault(status_for(error).value, {"description": ""})
        entry["description"] = f"{entry['description']} `{error.code}`: {error.message}".strip()
    return documented


def operation_id(route: APIRoute) -> str:
    """Use the function name as the operation id, so that generated clients do not depend on paths."""
    return route.name


def customize_openapi(app: FastAPI) -> None:
    """Make `app.openapi()` document error responses as problem details."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _build_schema(app)
        return app.openapi_schema

    app.openapi = describe  # as described in FastAPI's documentation


def _build_schema(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(
        title=app.title, version=__version__, description=app.description, routes=app.routes, tags=app.openapi_tags
    )
    components = schema.setdefault("components", {}).setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    components.update(problem.pop("$defs"), Problem=problem)
    for unused in ("HTTPValidationError", "ValidationError"):
        components.pop(unused, None)
    for response in _error_responses(schema):
        response["content"] = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return schema


def _error_responses(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield error responses without a declared body, and the 422 responses that FastAPI adds."""
    for path in schema["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if status == "422" or (status >= "400" and "content" not in response):
                    yield response
