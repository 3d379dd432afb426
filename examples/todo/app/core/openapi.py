"""The API description: stable names, one shape for errors.

`uv run app openapi export` writes it to a file, for client generators and for reviews.
"""

import tomllib
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from app import __version__
from app.core.exception_handlers import status_of
from app.core.exceptions import DomainError

Responses = dict[int | str, dict[str, Any]]


class InvalidField(BaseModel):
    """One value that was refused."""

    field: str = Field(examples=["body.email"])
    message: str = Field(examples=["value is not a valid email address"])
    code: str = Field(examples=["value_error"])


class Problem(BaseModel):
    """The answer to a request that failed (RFC 9457)."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(description="The status in words.", examples=["Conflict"])
    status: int = Field(examples=[409])
    code: str = Field(description="Stable name of the error, for programs.", examples=["email_taken"])
    detail: str = Field(description="Explanation for people.", examples=["There is an account with this address."])
    request_id: str | None = Field(description="Quote it when you report the problem.", examples=["4f9d2c"])
    errors: list[InvalidField] | None = Field(default=None, description="With 422: what was refused.")


EVERY_ROUTE: Responses = {
    400: {"description": "The request cannot be read"},
    408: {"description": "The request did not arrive in time"},
    413: {"description": "The request body is too large"},
    422: {"description": "The request is not valid"},
    500: {"description": "Something went wrong on our side"},
    503: {"description": "Overloaded, stopping, or a dependency is away: try again"},
}


def about() -> dict[str, str]:
    """Read the title and the description of the API."""
    return tomllib.loads(files("app").joinpath("about.toml").read_text("utf-8"))


def problems(*errors: type[DomainError]) -> Responses:
    """Document the domain errors a route may answer with: `responses=problems(EmailTaken)`."""
    documented: Responses = {}
    for error in errors:
        entry = documented.setdefault(status_of(error).value, {"description": ""})
        entry["description"] = f"{entry['description']} `{error.code}`: {error.message}".strip()
    return documented


def operation_id(route: APIRoute) -> str:
    """Name an operation after its function, so that a changed path renames nothing in a generated client."""
    return route.name


def install(app: FastAPI) -> None:
    """Make `app.openapi()` describe errors as they are sent."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _describe(app)
        return app.openapi_schema

    app.openapi = describe  # as FastAPI documents it


def _describe(app: FastAPI) -> dict[str, Any]:
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
    """Find the responses that are problems: errors without a body of their own, and FastAPI's 422."""
    for path in schema["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if status == "422" or (status >= "400" and "content" not in response):
                    yield response
