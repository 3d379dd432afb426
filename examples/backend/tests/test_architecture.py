"""Architecture rules. Import rules are checked by import-linter, see pyproject.toml."""

import ast
import re
from collections.abc import Callable, Iterator
from inspect import isasyncgenfunction, iscoroutinefunction, isfunction
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from app.core import middlewares
from app.core.config import Environment, Settings
from app.main import create_app

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "app").rglob("*.py"))
SESSION = ROOT / "app/db/session.py"


def calls(path: Path) -> Iterator[str]:
    """Yield the names of the functions and methods that a file calls."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def test_only_the_session_module_commits() -> None:
    forbidden = {"commit", "begin"}
    assert [path for path in SOURCES if path != SESSION and forbidden & set(calls(path))] == []


def test_modules_subscribe_to_events_only_in_subscribers_and_tasks() -> None:
    allowed = {"subscribers.py", "tasks.py"}
    modules = [path for path in SOURCES if ROOT / "app/modules" in path.parents and path.name not in allowed]
    assert [path for path in modules if "subscribe" in calls(path)] == []


def test_the_session_dependency_is_declared_only_once() -> None:
    spelled = re.compile(r"Depends\(\s*(session\.)?get_session\b")
    assert [path for path in SOURCES if spelled.search(path.read_text(encoding="utf-8"))] == [SESSION]
    assert 'Depends(get_session, scope="function")' in SESSION.read_text(encoding="utf-8")


def test_settings_are_read_only_with_load() -> None:
    reading = re.compile(r"os\.environ\.get|os\.environ\[[^]]+\](?! =)|os\.getenv")
    found = {str(path.relative_to(ROOT)) for path in SOURCES if reading.search(path.read_text(encoding="utf-8"))}

    # ENV decides which file to read; FORCE_COLOR is a common convention.
    assert found == {"app/core/config.py", "app/core/logging.py"}


def test_all_dependencies_are_async() -> None:
    def called(dependant: Dependant) -> Iterator[Callable[..., Any]]:
        for dependency in dependant.dependencies:
            if dependency.call is not None:  # a function, or a callable object such as a security scheme
                yield dependency.call if isfunction(dependency.call) else type(dependency.call).__call__
            yield from called(dependency)

    routes = [context.original_route for context in iter_route_contexts(create_app().routes)]
    calls = {call for route in routes if isinstance(route, APIRoute) for call in called(route.dependant)}

    assert calls
    assert [call for call in calls if not (iscoroutinefunction(call) or isasyncgenfunction(call))] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_short(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert source.count("\n") <= 300
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.end_lineno - node.body[0].lineno + 1 if node.end_lineno else 0
            assert body <= 40, f"{node.name} has {body} lines"


def test_every_middleware_is_attached() -> None:
    defined = set(middlewares.HttpMiddleware.__subclasses__())
    attached = {middleware.cls for middleware in create_app().user_middleware}
    assert defined <= attached


def test_module_routes_have_the_version_prefix() -> None:
    app: FastAPI = create_app(Settings(env=Environment.TEST))
    paths = {context.path for context in iter_route_contexts(app.routes)}
    outside = {path for path in paths if path and not path.startswith("/api/v1/")}

    assert outside == {
        *("/docs", "/docs/oauth2-redirect", "/openapi.json", "/redoc"),
        *("/health", "/health/live", "/health/ready"),
    }
