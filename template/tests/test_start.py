"""What it takes to start."""

import gc
import subprocess
import sys
from collections.abc import Generator

import pytest

from app import cli, start

SERVE = "import sys; from app import cli; cli.create_app(); print(*sys.modules)"


@pytest.fixture(autouse=True)
def _restored() -> Generator[None]:
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)


def test_the_garbage_collector_leaves_alone_what_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, int, int]] = []
    monkeypatch.setattr(cli, "app", lambda: seen.append((gc.isenabled(), gc.get_freeze_count(), gc.get_threshold()[0])))
    gc.unfreeze()

    start.main()
    [(enabled, frozen, new_objects)] = seen
    assert enabled
    assert frozen > 10_000
    assert new_objects == start.NEW_OBJECTS


def test_a_process_that_serves_does_without_what_migrates() -> None:
    imported = subprocess.run([sys.executable, "-c", SERVE], check=True, capture_output=True, text=True).stdout.split()

    assert "app.db.migrations" in imported
    assert "alembic" not in imported
