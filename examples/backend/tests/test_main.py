"""The application factory."""

import importlib
import os
import sys

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app import main

ENV_AT_IMPORT = os.environ.get("ENV")  # while modules are imported


def test_env_variable_is_test_while_modules_are_imported() -> None:
    assert ENV_AT_IMPORT == "test"


def test_import_reads_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "not a number")
    monkeypatch.delitem(sys.modules, "app.main")

    importlib.import_module("app.main")


def test_app_attribute_is_built_on_first_access() -> None:
    assert isinstance(main.app, FastAPI)
    assert main.app is main.app
    assert "app" in dir(main)
    with pytest.raises(AttributeError, match="no attribute 'application'"):
        _ = main.application


def test_lifespan_opens_the_database() -> None:
    with TestClient(main.create_app()) as client:
        assert client.get("/health").json()["status"] == "ok"
