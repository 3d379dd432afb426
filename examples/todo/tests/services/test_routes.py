"""The routes of each service; together, they have all routes."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi import APIRouter, FastAPI

from app.main import create_app
from app.processes import PROCESSES, create
from tests.messaging.conftest import short_kafka_timeout

__all__ = ["short_kafka_timeout"]

AUTH_PATHS = ("/api/v1/auth/", "/api/v1/users")


@pytest.fixture(autouse=True)
def _unreachable_servers(short_kafka_timeout: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unreachable servers, which are enough to create the applications."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")


def routes(app: FastAPI) -> set[str]:
    return {path for path in app.openapi()["paths"] if not path.startswith("/health")}


def test_routes_are_split_between_auth_and_api() -> None:
    assert routes(create("auth"))
    assert all(path.startswith(AUTH_PATHS) for path in routes(create("auth")))
    assert not any(path.startswith(AUTH_PATHS) for path in routes(create("api")))


def test_module_with_a_similar_path_belongs_to_api(monkeypatch: pytest.MonkeyPatch) -> None:
    authors = APIRouter(prefix="/authors")
    authors.add_api_route("", list_authors)
    all_routes = APIRouter(prefix="/api/v1")
    all_routes.include_router(authors)
    monkeypatch.setattr("app.processes.router", all_routes)

    assert routes(create("auth")) == set()
    assert routes(create("api")) == {"/api/v1/authors"}


def list_authors() -> None: ...


list_authors.__module__ = "app.modules.authors.routes"


def test_combined_openapi_equals_that_of_one_service() -> None:
    assert merge_documents(create(name).openapi() for name in PROCESSES) == create_app().openapi()


def merge_documents(descriptions: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Merge OpenAPI documents; fail if two of them differ in the same place."""
    merged: dict[str, Any] = {}
    for description in descriptions:
        _merge(merged, json.loads(json.dumps(description)))
    return merged


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            assert into.setdefault(name, value) == value, name


def test_traefik_routes_each_path_to_its_service(project: Path) -> None:
    routers = yaml.safe_load((project / "deploy/traefik/routes.yml").read_text(encoding="utf-8"))["http"]["routers"]
    pattern = routers["auth"]["rule"].removeprefix("PathRegexp(`").removesuffix("`)")

    assert all(re.search(pattern, path) for path in routes(create("auth")))
    assert not any(re.search(pattern, path) for path in routes(create("api")) | {"/api/v1/authors", "/health"})
