"""What it takes to start."""

import gc
from collections.abc import Generator
from pkgutil import resolve_name

import pytest

from app import cli, start
from app.core import server
from app.main import create_app


def left_alone() -> bool:
    return gc.isenabled() and gc.get_freeze_count() > 10_000 and gc.get_threshold()[0] == start.NEW_OBJECTS


@pytest.fixture(autouse=True)
def _restored() -> Generator[None]:
    threshold = gc.get_threshold()
    gc.set_threshold(700)  # that of the tests is that of the service
    yield
    gc.set_threshold(*threshold)


def test_the_garbage_collector_leaves_alone_what_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(cli, "app", lambda: seen.append(left_alone()))
    gc.unfreeze()

    start.main()
    assert seen == [True]


def test_so_it_does_in_each_process_that_answers(monkeypatch: pytest.MonkeyPatch, free_tcp_port: int) -> None:
    """With `--workers 2` these are started anew, from nothing but the name of what makes the app."""
    names: list[str] = []
    monkeypatch.setattr(server, "run", lambda factory, *_, **__: names.append(factory))
    cli.serve(port=free_tcp_port)
    gc.unfreeze()

    [name] = names
    assert resolve_name(name)().title == create_app().title
    assert left_alone()


def test_a_process_that_serves_does_without_what_migrates(imported: set[str]) -> None:
    assert "app.db.migrations" in imported
    assert "alembic" not in imported
