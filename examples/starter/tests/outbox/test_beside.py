"""What modules do beside answering requests is known because its file is there."""

from importlib import import_module
from pathlib import Path

import pytest

from app.outbox.beside import FILES, import_all


def package(folder: Path, **files: str) -> None:
    folder.mkdir()
    for name, text in {"__init__": "", **files}.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")


def test_the_files_of_all_modules_are_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path / "beside_all")
    package(tmp_path / "beside_all/order", tasks="DONE = []", contracts="", routes="raise RuntimeError")
    package(tmp_path / "beside_all/customer", consumers="from beside_all.order.tasks import DONE; DONE.append(1)")
    (tmp_path / "beside_all/tasks.py").write_text("raise RuntimeError", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    names = import_all(import_module("beside_all"))

    assert names == ["beside_all.customer.consumers", "beside_all.order.contracts", "beside_all.order.tasks"]
    assert import_module("beside_all.order.tasks").DONE == [1]


def test_what_cannot_be_imported_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path / "beside_broken")
    package(tmp_path / "beside_broken/order", tasks="import nothing_of_this_name")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
        import_all(import_module("beside_broken"))


def test_no_module_has_a_file_that_is_taken_for_one_of_these(project: Path) -> None:
    """`task.py` would be imported by nobody."""
    files = {path.stem for path in (project / "app/modules").glob("*/*.py")}

    assert not files & {name.removesuffix("s") for name in FILES if name.endswith("s")}
