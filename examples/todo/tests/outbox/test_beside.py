"""What modules do beside answering requests is known because its file is there."""

from importlib import import_module
from pathlib import Path

import pytest

from app.outbox.beside import import_all


def package(folder: Path, **files: str) -> None:
    folder.mkdir()
    for name, text in {"__init__": "", **files}.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")


def test_the_files_of_all_modules_are_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path / "beside_all")
    package(tmp_path / "beside_all/order", later="DONE = []", rules="", routes="raise RuntimeError")
    package(tmp_path / "beside_all/customer", rules="from beside_all.order.later import DONE; DONE.append(1)")
    (tmp_path / "beside_all/rules.py").write_text("raise RuntimeError", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    names = import_all(import_module("beside_all"), "later", "rules")

    assert names == ["beside_all.order.later", "beside_all.customer.rules", "beside_all.order.rules"]
    assert import_module("beside_all.order.later").DONE == [1]


def test_what_cannot_be_imported_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path / "beside_broken")
    package(tmp_path / "beside_broken/order", rules="import nothing_of_this_name")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
        import_all(import_module("beside_broken"), "rules")
