"""Which service answers what: each has its own routes, and together they have all."""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi import FastAPI

from app.main import create_app
from app.services.api import create_api
from app.services.auth import create_auth
from app.services.mailer import create_mailer
from app.services.scheduler import create_scheduler
from tests.events.conftest import impatient

__all__ = ["impatient"]

ACCOUNTS = ("/api/v1/auth/", "/api/v1/users")
CREATE: dict[str, Callable[[], FastAPI]] = {
    "api": create_api,
    "auth": create_auth,
    "mailer": create_mailer,
    "scheduler": create_scheduler,
}


@pytest.fixture(autouse=True)
def _a_kafka(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not answer: nobody needs it to be built."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")


def routes(app: FastAPI) -> set[str]:
    return {path for path in app.openapi()["paths"] if not path.startswith("/health")}


def test_accounts_are_in_one_service_and_everything_else_in_another() -> None:
    assert routes(create_auth())
    assert all(path.startswith(ACCOUNTS) for path in routes(create_auth()))
    assert not any(path.startswith(ACCOUNTS) for path in routes(create_api()))


@pytest.mark.parametrize("name", ["mailer", "scheduler"])
def test_the_others_answer_for_their_health_only(name: str) -> None:
    assert routes(CREATE[name]()) == set()
    assert "/health/live" in CREATE[name]().openapi()["paths"]


def test_together_they_are_described_as_one_service_would_be() -> None:
    assert together(create().openapi() for create in CREATE.values()) == create_app().openapi()


def together(descriptions: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Merge what they say; a difference in what two of them say is told."""
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


def test_traefik_sends_each_path_to_the_service_that_has_it(project: Path) -> None:
    routers = yaml.safe_load((project / "deploy/traefik/routes.yml").read_text(encoding="utf-8"))["http"]["routers"]
    pattern = routers["auth"]["rule"].removeprefix("PathRegexp(`").removesuffix("`)")

    assert all(re.search(pattern, path) for path in routes(create_auth()))
    assert not any(re.search(pattern, path) for path in routes(create_api()) | {"/api/v1/authors", "/health"})
