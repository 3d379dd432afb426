"""Every release leads to the newest version: what a team did stays, and all else is as in a fresh copy."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from _pytest.mark import ParameterSet

from tests.matrix.execution import why_not
from tests.matrix.processes import just, run
from tests.matrix.variants import Variant, everything_on, named
from tests.releases import commit, git, released
from tests.team import ENV, Team
from tests.updating import NEXT, begin, copier, tree, update

Once = Callable[[str, Callable[[Path], object]], Path]


def cases(*variants: Variant) -> list[ParameterSet]:
    """Pair each release with some variants; `just test` runs two of the pairs."""
    essential = (released()[0], "default"), (released()[-1], "todo")
    return [
        pytest.param(
            *(version, variant),
            id=f"{version}-{variant}",
            marks=() if (version, variant.name) in essential else pytest.mark.complete,
        )
        for version in released()
        for variant in variants
    ]


FIRST_MIGRATION = "alembic/versions/0001_initial.py"


def answers(history: Path, version: str, variant: Variant) -> dict[str, Any]:
    """Return what a variant answers to the questions that a release asks.

    A question that is new since is not answered, as by most people: it takes its default. test_switching.py answers it.
    """
    asked = yaml.safe_load(git(history, "show", f"{version}:copier.yml"))
    return {question: answer for question, answer in variant.answers.items() if question in asked}


def updated(history: Path, folder: Path, version: str, variant: Variant) -> Team:
    """Take a project from a release to the newest version, with a team's work in it."""
    project = begin(history, folder, answers(history, version, variant), version)
    team = Team.of(project)
    team.work(project)
    team.add_dependencies(project)
    team.delete_the_example(project)
    commit(project, "Work")
    update(project)
    return team


@pytest.mark.parametrize(("version", "variant"), cases(*named()))
def test_work_is_kept_and_all_else_is_as_in_a_fresh_copy(
    version: str, variant: Variant, history: Path, tmp_path: Path
) -> None:
    project, fresh = tmp_path / "project", tmp_path / "fresh"
    team = updated(history, project, version, variant)
    first_migration = git(project, "show", f"HEAD:{FIRST_MIGRATION}")

    begin(history, fresh, answers(history, version, variant), NEXT)
    team.work(fresh)
    team.add_dependencies(fresh)
    team.delete_the_example(fresh)
    expected = {**tree(fresh), FIRST_MIGRATION: f"{first_migration}\n".encode()}
    assert tree(project) == expected
    assert (project / ".env").read_text(encoding="utf-8") == ENV

    commit(project, "Update")
    assert copier(project, "check-update", "--quiet") == ""
    update(project)
    assert git(project, "status", "--porcelain") == "", "a second update changed something"


@pytest.mark.complete
@pytest.mark.execution
@pytest.mark.parametrize(("version", "variant"), cases(named()[0], everything_on()))
def test_an_updated_project_passes_its_own_checks(
    version: str, variant: Variant, history: Path, tmp_path: Path, once: Once
) -> None:
    """Does what the message after an update says, with the whole suite if the newest release was the beginning.

    From older ones, the rows and migrations of before are what may be different. Two updates that lead to the same tree
    are checked once. The other variants are equal to a fresh copy, as was seen above, and fresh copies are executed
    elsewhere.
    """
    if reason := why_not(variant):
        pytest.skip(reason)
    project = tmp_path / "project"
    updated(history, project, version, variant)
    newest = version == released()[-1]
    checks = [["check"]] if newest else [["lint"], ["test", "tests/db/test_migrations.py"]]
    tree_id = hashlib.sha256(repr([newest, *sorted(tree(project).items())]).encode()).hexdigest()[:16]

    def check_once(folder: Path) -> None:
        shutil.copytree(project, folder)
        run(folder, "uv", "lock")
        just(folder, "migrate-gen", "orders instead of to-dos")
        just(folder, "migrate-up")
        run(folder, "uv", "run", "app", "db", "check", ENV="dev")
        for check in checks:
            just(folder, *check)
        shutil.rmtree(folder / ".venv")

    once(f"checked-{tree_id}", check_once)
