"""How the tests get the template is not how a person gets it: from git, by a tag. Both must give the same project."""

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
    """Tell pytest-copier what to commit and tag: the files that git knows, as they are now."""
    return snapshot(tmp_path_factory.mktemp("tracked"), tracked())


def test_everything_is_in_git() -> None:
    """A file that is not is missing for everybody else."""
    assert working_tree() == tracked()


def test_a_tag_renders_what_the_working_tree_renders(
    copier: CopierFixture, render: Callable[[Answers], Path], tmp_path: Path
) -> None:
    answers = {"database": "postgres", "project_name": "From a tag"}
    project = copier.copy(tmp_path / "project", **answers)

    assert contents(project.path) == contents(render(answers))
    assert recorded_answers(project.path)["_commit"] == "99.99.99"


@pytest.mark.complete
def test_the_patched_copier_does_what_the_plain_one_does(history: Path, tmp_path: Path) -> None:
    """Most tests use the first, see `tests.fast_copier`; users have the second."""
    patched = begin(history, tmp_path / "patched", {}, released()[0])
    plain = Path(shutil.copytree(patched, tmp_path / "plain"))
    options = ("update", "--defaults", "--data", "database=postgres")

    updating.copier(patched, *options)  # by its full name: pytest-copier has a fixture of the short one
    run(plain, sys.executable, "-m", "copier", *options, timeout=300, **ISOLATED)

    assert (plain / "app/db/postgres.py").is_file()
    assert tree(plain) == tree(patched)
