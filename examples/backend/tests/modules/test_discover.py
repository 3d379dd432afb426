"""Files of modules are imported by name."""

from importlib import import_module
from pathlib import Path

import pytest

from app.modules import discover


def create_package(folder: Path, **files: str) -> None:
    folder.mkdir()
    for name, text in {"__init__": "", **files}.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")


def test_files_of_all_modules_are_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_package(tmp_path / "found_all")
    create_package(tmp_path / "found_all/order", later="DONE = []", rules="", routes="raise RuntimeError")
    create_package(tmp_path / "found_all/customer", rules="from found_all.order.later import DONE; DONE.append(1)")
    (tmp_path / "found_all/rules.py").write_text("raise RuntimeError", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    found = discover("later", "rules", package="found_all")

    assert [module.__name__ for module in found] == [
        "found_all.order.later",
        "found_all.customer.rules",
        "found_all.order.rules",
    ]
    assert import_module("found_all.order.later").DONE == [1]


def test_import_errors_are_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_package(tmp_path / "found_broken")
    create_package(tmp_path / "found_broken/order", rules="import nothing_of_this_name")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
        discover("rules", package="found_broken")
