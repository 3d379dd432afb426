"""The published OpenAPI document is a file, and the routes must be compatible with it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel
from typer.testing import CliRunner, Result

from app.messaging import rest, schemas
from app.messaging.contract_commands import contracts as commands
from app.messaging.rest_additions import refusals

Document = dict[str, Any]
Edit = Callable[[Document], object]


def run(command: str, folder: Path, *options: str) -> Result:
    return CliRunner().invoke(commands, [command, "--folder", str(folder), *options])


def test_openapi_file_matches_the_routes(project: Path) -> None:
    promised = rest.file(project / schemas.FOLDER)
    assert rest.check(promised, rest.describe()) == ""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "events"
    assert run("write", folder, "--routes").exit_code == 0
    return folder


def test_routes_are_unchecked_until_published(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    run("write", folder)
    assert not rest.file(folder).exists()
    assert run("check", folder).output == "all files are up to date\n"

    assert run("write", folder, "--routes").output == f"written: {rest.file(folder)}\n"
    assert run("write", folder, "--routes").output == "all files are up to date\n"
    assert "/api/v1/users" in json.loads(rest.file(folder).read_text(encoding="utf-8"))["paths"]


def test_release_version_is_ignored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.core.openapi.__version__", "99.0.0")
    assert run("check", folder).exit_code == 0


def edit(folder: Path, change: Edit) -> None:
    path = rest.file(folder)
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def test_addition_is_shown_and_written(folder: Path) -> None:
    edit(folder, lambda document: document["paths"].pop("/api/v1/users"))

    shown = run("check", folder)
    assert shown.exit_code == 1
    assert '+    "/api/v1/users"' in shown.output
    assert run("write", folder).output == f"written: {rest.file(folder)}\n"
    assert run("check", folder).output == "all files are up to date\n"


def test_breaking_change_is_rejected(folder: Path) -> None:
    edit(folder, lambda document: document["paths"].update({"/gone": {"get": {}}}))
    before = rest.file(folder).read_bytes()

    for command in ("check", "write"):
        refused = run(command, folder)
        assert refused.exit_code == 1
        assert "GET /gone: was removed\nKeep the route unchanged" in refused.output
    assert rest.file(folder).read_bytes() == before


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"paths": []}'])
def test_unreadable_file_is_reported(folder: Path, text: str) -> None:
    rest.file(folder).write_text(text, encoding="utf-8")
    refused = run("check", folder)
    assert refused.exit_code == 1
    assert f"git restore {rest.file(folder)}" in refused.output


class Owner(BaseModel):
    name: str


class Order(BaseModel):
    id: int
    note: str | None = None
    owner: Owner
    parts: list["Order"] = []


def api() -> Document:
    """Return the OpenAPI document of sample routes."""
    app, router = FastAPI(), APIRouter()

    @router.post("/orders", response_model=Order, operation_id="place")
    def place(order: Order, dry: bool = False) -> None: ...

    @router.get("/orders", response_model=list[Order], operation_id="find", responses={404: {}})
    def find(limit: int = 10, status: str | None = None) -> None: ...

    app.include_router(router)
    document = app.openapi()
    place_ = document["paths"]["/orders"]["post"]
    place_["parameters"][0]["schema"] |= {"enum": [False], "maximum": 9, "minimum": 0, "pattern": "x"}
    place_["security"] = [{"Password": ["write"]}]
    place_["responses"]["200"]["headers"] = {"ETag": {}}
    return document


def changed(change: Edit) -> list[str]:
    document = api()
    change(document)
    return refusals(api(), document)


def place(document: Document) -> Document:
    operation: Document = document["paths"]["/orders"]["post"]
    return operation


def asked(document: Document) -> Document:
    schema: Document = document["components"]["schemas"]["Order-Input"]
    return schema


def answered(document: Document) -> Document:
    schema: Document = document["components"]["schemas"]["Order-Output"]
    return schema


def parameter(document: Document) -> Document:
    first: Document = place(document)["parameters"][0]
    return first


@pytest.mark.parametrize(
    "change",
    [
        lambda _: None,
        lambda document: document["paths"].update({"/new": {}}),
        lambda document: document["paths"]["/orders"].update(put={}),
        lambda document: document["info"].update(title="Another"),
        lambda document: place(document).update(summary="Another"),
        lambda document: place(document).update(security=[{"Key": []}, {"Password": ["write"]}]),
        lambda document: place(document).update(security=[{}]),
        lambda document: place(document).pop("security"),
        lambda document: place(document)["parameters"].append(
            {"in": "query", "name": "new", "required": False, "schema": {}}
        ),
        lambda document: place(document)["requestBody"].update(required=False),
        lambda document: place(document)["requestBody"]["content"].update({"text/csv": {}}),
        lambda document: place(document)["responses"].update({"409": {}}),
        lambda document: document["paths"]["/orders"]["get"]["responses"].pop("404"),
        lambda document: asked(document)["properties"].update(new={"type": "string"}),
        lambda document: asked(document)["required"].remove("id"),
        lambda document: asked(document)["properties"]["note"]["anyOf"].append({"type": "integer"}),
        lambda document: answered(document)["properties"].update(new={"type": "string"}),
        lambda document: answered(document)["required"].append("note"),
        lambda document: answered(document)["properties"]["parts"].update(default=[1]),
        lambda document: parameter(document)["schema"].update(enum=[True, False]),
        lambda document: parameter(document)["schema"].update(maximum=10, minimum=-1),
        lambda document: [
            parameter(document)["schema"].pop(rule) for rule in ("enum", "maximum", "minimum", "pattern")
        ],
    ],
)
def test_compatible_changes(change: Edit) -> None:
    assert changed(change) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda document: document["paths"].pop("/orders"), ["POST /orders: was removed", "GET /orders: was removed"]),
        (lambda document: document["paths"]["/orders"].pop("get"), ["GET /orders: was removed"]),
        (lambda document: place(document).update(operationId="put"), ["POST /orders: operation id was place, is put"]),
        (
            lambda document: place(document).update(security=[{"Password": ["admin"]}]),
            ['POST /orders: security was [{"Password": ["write"]}], is [{"Password": ["admin"]}]'],
        ),
        (
            lambda document: document["paths"]["/orders"]["get"].update(security=[{"Password": []}]),
            ['GET /orders: security was [{}], is [{"Password": []}]'],
        ),
        (lambda document: place(document).update(parameters=[]), ["POST /orders: query dry was removed"]),
        (lambda document: parameter(document).update(required=True), ["POST /orders: query dry is required now"]),
        (
            lambda document: parameter(document)["schema"].update(type="string"),
            ['POST /orders: query dry: type was "boolean", is "string"'],
        ),
        (
            lambda document: parameter(document)["schema"].update(default=True),
            ["POST /orders: query dry: default was false, is true"],
        ),
        (
            lambda document: parameter(document)["schema"].update(format="new"),
            ['POST /orders: query dry: format was not set, is "new"'],
        ),
        (
            lambda document: parameter(document)["schema"].update(enum=[True], maximum=8, minimum=1, pattern="y"),
            [
                "POST /orders: query dry: enum was [false], is [true]",
                "POST /orders: query dry: maximum was 9, is 8",
                "POST /orders: query dry: minimum was 0, is 1",
                'POST /orders: query dry: pattern was "x", is "y"',
            ],
        ),
        (
            lambda document: document["paths"]["/orders"]["get"]["parameters"][0]["schema"].update(maximum=5),
            ["GET /orders: query limit: maximum was not set, is 5"],
        ),
        (
            lambda document: place(document)["requestBody"].update(content={"text/csv": {}}),
            ["POST /orders: body application/json was removed"],
        ),
        (
            lambda document: document["paths"]["/orders"]["get"].update(requestBody={"required": True}),
            ["GET /orders: a body is required now"],
        ),
        (
            lambda document: place(document)["responses"].update({"201": place(document)["responses"].pop("200")}),
            ["POST /orders: 200 was removed", "POST /orders: 201 is a new success status"],
        ),
        (
            lambda document: place(document)["responses"]["200"].pop("headers"),
            ["POST /orders: 200 header ETag was removed"],
        ),
        (lambda document: asked(document)["properties"].pop("note"), ["POST /orders: body.note was removed"]),
        (lambda document: asked(document)["required"].append("note"), ["POST /orders: body.note is required now"]),
        (
            lambda document: asked(document)["properties"]["note"].update(anyOf=[{"type": "null"}]),
            ['POST /orders: body.note: anyOf was [{"type": "string"}, {"type": "null"}], is [{"type": "null"}]'],
        ),
        (
            lambda document: answered(document)["properties"].pop("owner"),
            [
                "POST /orders: 200.owner was removed",
                "GET /orders: 200[].owner was removed",
            ],
        ),
        (
            lambda document: document["components"]["schemas"]["Owner"]["required"].remove("name"),
            ["POST /orders: 200.owner.name is optional now", "GET /orders: 200[].owner.name is optional now"],
        ),
        (
            lambda document: answered(document)["properties"]["note"]["anyOf"].append({"type": "integer"}),
            [
                'POST /orders: 200.note: anyOf was [{"type": "string"}, {"type": "null"}], '
                'is [{"type": "string"}, {"type": "null"}, {"type": "integer"}]',
                'GET /orders: 200[].note: anyOf was [{"type": "string"}, {"type": "null"}], '
                'is [{"type": "string"}, {"type": "null"}, {"type": "integer"}]',
            ],
        ),
        (
            lambda document: answered(document)["properties"]["id"].update(maximum=5),
            ["POST /orders: 200.id: maximum was not set, is 5", "GET /orders: 200[].id: maximum was not set, is 5"],
        ),
    ],
)
def test_breaking_changes(change: Edit, said: list[str]) -> None:
    assert changed(change) == said
