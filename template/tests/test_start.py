"""What it takes to start."""

import gc

import pytest

from app import cli, start


def test_the_garbage_collector_leaves_alone_what_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, int]] = []
    monkeypatch.setattr(cli, "app", lambda: seen.append((gc.isenabled(), gc.get_freeze_count())))
    gc.unfreeze()

    start.main()
    [(enabled, frozen)] = seen
    assert enabled
    assert frozen > 10_000
