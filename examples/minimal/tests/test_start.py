"""Startup of processes."""

import gc
from collections.abc import Generator
from pkgutil import resolve_name

import pytest

from app import cli, start
from app.core import server
from app.main import create_app


def garbage_collection_is_configured() -> bool:
    return gc.isenabled() and gc.get_freeze_count() > 10_000 and gc.get_threshold()[0] == start.GC_THRESHOLD


@pytest.fixture(autouse=True)
def _restore_gc_threshold() -> Generator[None]:
    threshold = gc.get_threshold()
    gc.set_threshold(700)  # the tests use the threshold of the service
    yield
    gc.set_threshold(*threshold)


def test_imported_objects_are_excluded_from_garbage_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(cli, "app", lambda: seen.append(garbage_collection_is_configured()))
    gc.unfreeze()

    start.main()
    assert seen == [True]


def test_worker_processes_also_exclude_imported_objects(monkeypatch: pytest.MonkeyPatch, free_tcp_port: int) -> None:
    """With `--workers 2`, each worker process imports the application factory by its name."""
    names: list[str] = []
    monkeypatch.setattr(server, "run", lambda factory, *_, **__: names.append(factory))
    monkeypatch.setenv("PORT", f"{free_tcp_port}")  # so that the variable that the command sets is removed again
    cli.serve(port=free_tcp_port)
    gc.unfreeze()

    [name] = names
    assert resolve_name(name)().title == create_app().title
    assert garbage_collection_is_configured()


def test_server_does_not_import_alembic(imported_modules: set[str]) -> None:
    assert "app.db.migrations" in imported_modules
    assert "alembic" not in imported_modules
