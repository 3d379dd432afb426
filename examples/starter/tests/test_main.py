"""The front door."""

import importlib
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app import main

ENV = os.environ.get("ENV")  # while modules are imported


def test_modules_are_imported_as_in_tests() -> None:
    assert ENV == "test"


def test_importing_configures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "not a number")
    monkeypatch.delitem(sys.modules, "app.main")

    importlib.import_module("app.main")


def test_servers_that_ask_for_an_app_get_one() -> None:
    assert isinstance(main.app, FastAPI)
    assert main.app is main.app
    assert "app" in dir(main)
    with pytest.raises(AttributeError, match="no attribute 'application'"):
        _ = main.application


def test_the_lifespan_opens_and_closes_what_the_app_needs() -> None:
    with TestClient(main.create_app()) as client:
        assert client.get("/health").json()["status"] == "ok"


def test_what_it_does_beside_answering_goes_on_as_long() -> None:
    goes_on: list[FastAPI] = []

    @asynccontextmanager
    async def part(app: FastAPI) -> AsyncGenerator[None]:
        goes_on.append(app)
        yield
        goes_on.remove(app)

    app = main.create_app(background=[part])
    with TestClient(app):
        assert goes_on == [app]
    assert goes_on == []
