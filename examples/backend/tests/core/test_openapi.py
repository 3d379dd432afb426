"""The OpenAPI document."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from app.core.exceptions import ConflictError, DomainError, NotFoundError
from app.core.openapi import api_metadata, problems
from app.main import create_app

PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


class Taken(ConflictError):
    message = "It is taken."


class Closed(ConflictError):
    message = "It is closed."


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    return create_app().openapi()


def operations(description: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in description["paths"].values() for operation in path.values()]


def test_openapi_document_is_built_once() -> None:
    app: FastAPI = create_app()

    assert app.openapi() is app.openapi()


def test_api_metadata_is_read_once() -> None:
    """It is part of every event and email."""
    assert api_metadata() is api_metadata()


def test_committed_document_is_current(project: Path, description: dict[str, Any]) -> None:
    """The document is committed once other teams depend on the API, see docs/contracts.md."""
    for path in project.glob("docs/contracts/rest/openapi.json"):
        assert json.loads(path.read_text(encoding="utf-8")) == description, "Run: uv run just openapi-export"


def test_operation_ids_are_unique(description: dict[str, Any]) -> None:
    names = Counter(operation["operationId"] for operation in operations(description))

    assert names["register_user"] == 1
    assert [name for name, count in names.items() if count > 1] == []


def test_operations_have_summary_description_and_tags(description: dict[str, Any]) -> None:
    for operation in operations(description):
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"]


def test_all_api_errors_are_problem_details(description: dict[str, Any]) -> None:
    for path, methods in description["paths"].items():
        for operation in methods.values():
            errors = {status: r for status, r in operation["responses"].items() if status >= "400"}
            if path.startswith("/api/"):
                assert {"413", "422", "500", "503"} <= errors.keys()
                assert all(response["content"] == PROBLEM for response in errors.values())


def test_referenced_schemas_exist(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]

    assert "HTTPValidationError" not in schemas
    assert schemas["Problem"]["properties"]["errors"]["anyOf"][0]["items"]["$ref"].endswith("/InvalidField")
    assert "InvalidField" in schemas


def test_errors_with_the_same_status_are_combined() -> None:
    assert problems(Taken, NotFoundError, Closed) == {
        409: {"description": "`taken`: It is taken. `closed`: It is closed."},
        404: {"description": "`not_found`: Resource not found."},
    }
    assert problems(DomainError).keys() == {400}
