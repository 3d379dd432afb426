"""Rendering the working tree, as tests do, and a git tag, as users do, gives the same project."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_copier.plugin import CopierFixture

from tests import updating
from tests.matrix.processes import run
from tests.projects import contents
from tests.releases import released
from tests.rendering import Answers, recorded_answers, snapshot, tracked, working_tree
from tests.updating import ISOLATED, begin, tree


@pytest.fixture(scope="session")
def copier_template_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that pytest-copier commits and tags: all tracked files of the working tree."""
    return snapshot(tmp_path_factory.mktemp("tracked"), tracked())


def test_all_files_are_tracked() -> None:
    """An untracked file would be missing for users."""
    assert working_tree() == tracked()


def test_tag_renders_same_project_as_working_tree(
    copier: CopierFixture, render: Callable[[Answers], Path], tmp_path: Path
) -> None:
    answers = {"database": "postgres", "project_name": "From a tag"}
    project = copier.copy(tmp_path / "project", **answers)

    assert contents(project.path) == contents(render(answers))
    assert recorded_answers(project.path)["_commit"] == "99.99.99"


@pytest.mark.complete
def test_patched_copier_matches_original(history: Path, tmp_path: Path) -> None:
    """Most tests use `tests.fast_copier`; users run the original."""
    patched = begin(history, tmp_path / "patched", {}, released()[0])
    plain = Path(shutil.copytree(patched, tmp_path / "plain"))
    options = ("update", "--defaults", "--trust", "--data", "database=postgres")

    updating.copier(patched, *options)  # the full name, because pytest-copier has a fixture `copier`
    run(plain, sys.executable, "-m", "copier", *options, timeout=300, **ISOLATED)

    assert (plain / "app/db/postgres.py").is_file()
    assert tree(plain) == tree(patched)
