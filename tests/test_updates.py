"""Projects of every release can be updated: edits are kept, and everything else matches a fresh copy."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from _pytest.mark import ParameterSet

from tests.customization import ENV, Customization
from tests.matrix.execution import why_not
from tests.matrix.processes import just, run
from tests.matrix.variants import Variant, everything_on, named
from tests.releases import commit, git, released
from tests.rendering import recorded_answers
from tests.updating import NEVER_UPDATED, NEXT, begin, copier, tree, update

BuildOnce = Callable[[str, Callable[[Path], object]], Path]


def cases(*variants: Variant) -> list[ParameterSet]:
    """Pair each release with variants; `just test` runs two of the pairs."""
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


def answers(history: Path, version: str, variant: Variant) -> dict[str, Any]:
    """Return the answers of a variant to the questions of a release.

    Newer questions take their defaults, as for most users. test_switching.py changes them.
    """
    asked = yaml.safe_load(git(history, "show", f"{version}:copier.yml"))
    return {question: answer for question, answer in variant.answers.items() if question in asked}


def create_and_update(history: Path, folder: Path, version: str, variant: Variant) -> Customization:
    """Create a project from a release, customize it, and update it to the newest version."""
    project = begin(history, folder, answers(history, version, variant), version)
    customization = Customization.for_project(project)
    customization.apply(project)
    customization.add_dependencies(project)
    customization.delete_example(project)
    commit(project, "Work")
    update(project)
    return customization


@pytest.mark.parametrize(("version", "variant"), cases(*named()))
def test_update_keeps_edits_and_matches_fresh_copy(
    version: str, variant: Variant, history: Path, tmp_path: Path
) -> None:
    project, fresh = tmp_path / "project", tmp_path / "fresh"
    customization = create_and_update(history, project, version, variant)
    before = set(git(project, "ls-tree", "-r", "--name-only", "HEAD").splitlines())
    kept = {name: f"{git(project, 'show', f'HEAD:{name}')}\n".encode() for name in NEVER_UPDATED & before}

    # The update sets `live_feed` to false, because the team has deleted the example.
    feed = {question: answer for question, answer in recorded_answers(project).items() if question == "live_feed"}
    begin(history, fresh, {**answers(history, version, variant), **feed}, NEXT)
    customization.apply(fresh)
    customization.add_dependencies(fresh)
    customization.delete_example(fresh)
    expected = tree(fresh) | kept
    assert tree(project) == expected
    assert (project / ".env").read_text(encoding="utf-8") == ENV

    commit(project, "Update")
    assert copier(project, "check-update", "--quiet") == ""
    update(project)
    assert git(project, "status", "--porcelain") == "", "a second update changed something"


@pytest.mark.parametrize(("preset", "deleted"), [("minimal", False), ("custom", True)])
def test_update_keeps_live_feed_of_older_versions(preset: str, deleted: bool, history: Path, tmp_path: Path) -> None:
    """It was part of the example until version 0.2.0; some teams have deleted the example without changing the answer."""
    project = begin(history, tmp_path / "project", {"preset": preset, "auth": "none"}, "0.2.0")
    if deleted:
        Customization.for_project(project).delete_example(project)
        commit(project, "Delete the example")
    output = update(project)

    assert recorded_answers(project)["live_feed"] is not deleted
    assert (project / "app/modules/feed/routes.py").exists() is not deleted
    assert ("feed.router" in (project / "app/api.py").read_text(encoding="utf-8")) is not deleted
    assert "New tables" not in output


@pytest.mark.complete
@pytest.mark.execution
@pytest.mark.parametrize(("version", "variant"), cases(named()[0], everything_on()))
def test_updated_project_passes_its_checks(
    version: str, variant: Variant, history: Path, tmp_path: Path, once: BuildOnce
) -> None:
    """Follow the message after the update; run the whole test suite if the project is from the newest release.

    Projects of older releases can only differ in their rows and migrations. Updates that result in the same tree are
    checked once. The other variants match a fresh copy, as tested above, and other tests execute fresh copies.
    """
    if reason := why_not(variant):
        pytest.skip(reason)
    project = tmp_path / "project"
    create_and_update(history, project, version, variant).follow_changelog(project)
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
