"""What you and the template have both changed, and the ways out of it that docs/how-to/update.md shows."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from tests.markdown import Block, blocks
from tests.releases import commit
from tests.trouble import GUIDE, LATER, OLD, OURS, SMALL, THEIRS, Project, replace
from tests.updating import NEXT, begin, conflicts, copier, tree

pytestmark = pytest.mark.complete

Once = Callable[[str, Callable[[Path], object]], Path]
MIGRATION = "alembic/versions/0001_initial.py"


@pytest.fixture
def project(once: Once, history: Path, tmp_path: Path) -> Project:
    """A project that a newer version of the template waits for."""
    return Project.begin(once, history, tmp_path)


@pytest.fixture
def conflicting(project: Project) -> Project:
    """A project that has changed a line which the newer version changes too."""
    project.write(".env", "OURS=1\n", save=False)
    project.edit("LICENSE", OLD, OURS, save=False)
    project.edit("LICENSE", "furnished", "handed")
    return project


def shown(marker: str) -> str:
    """Return the output that the guide shows."""
    (body,) = (block.body for block in blocks(GUIDE.read_text(encoding="utf-8")) if block.marker == marker)
    return dedent(body)


def sides() -> Block:
    """Return what the guide says about taking one side."""
    (found,) = (block for block in blocks(GUIDE.read_text(encoding="utf-8")) if "--ours" in block.body)
    return found


def test_one_sees_what_the_guide_shows(project: Project) -> None:
    said = project.update()
    for line in shown("said").splitlines():
        if line != "…":
            assert line.replace("0.2.0", LATER).replace("0.1.0", NEXT) in said.splitlines()


def test_the_same_lines_changed_are_a_conflict_though_all_ends_well(conflicting: Project) -> None:
    conflicting.update()
    assert conflicts(conflicting.folder) == ["LICENSE"]
    assert conflicting.follows("## Conflicts", 0).splitlines()[1:2] == ["UU LICENSE"]
    assert shown("conflict") in conflicting.read("LICENSE")
    with pytest.raises(Exception, match="unmerged files"):
        conflicting.git("commit", "--message", "Update")


def resolve(project: Project) -> None:
    """Commit, and see that it is over: nothing comes again."""
    project.git("add", "LICENSE")
    project.save()
    assert conflicts(project.folder) == []
    project.update()
    assert project.changes == []


def test_conflicts_are_resolved_by_hand(conflicting: Project) -> None:
    conflicting.update()
    text = conflicting.read("LICENSE").replace(shown("conflict"), "in the Software with care\n")
    conflicting.write("LICENSE", text, save=False)
    resolve(conflicting)


def test_one_side_is_taken_for_the_whole_file(conflicting: Project, tmp_path: Path) -> None:
    before = conflicting.read("LICENSE")
    fresh = begin(conflicting.template, tmp_path / "fresh", SMALL, LATER)
    conflicting.update()
    ours, theirs, again = sides().commands()
    for command, expected in ((ours, before), (theirs, (fresh / "LICENSE").read_text(encoding="utf-8"))):
        conflicting.git(*command.split()[1:])
        assert conflicting.read("LICENSE") == expected
    conflicting.git(*again.split()[1:])
    assert conflicts(conflicting.folder) == ["LICENSE"]
    conflicting.git(*ours.split()[1:])
    resolve(conflicting)
    assert conflicting.read("LICENSE") == before


def test_all_is_taken_back(conflicting: Project) -> None:
    before = tree(conflicting.folder)
    for number in (0, 1):
        conflicting.update("--data", "database=postgres")
        conflicting.follows("## Undo an update", number)
        assert conflicting.changes == []
        assert tree(conflicting.folder) == before
        assert conflicting.read(".env") == "OURS=1\n"


def test_rejected_changes_are_those_of_the_team(conflicting: Project) -> None:
    conflicting.update("--conflict", "rej")
    assert conflicts(conflicting.folder) == ["LICENSE.rej"]
    assert THEIRS in conflicting.read("LICENSE")
    assert "handed" in conflicting.read("LICENSE.rej")
    assert f"+in the Software {OURS}" in conflicting.read("LICENSE.rej")
    (conflicting.folder / "LICENSE.rej").unlink()
    resolve(conflicting)


def test_a_file_of_the_same_name(project: Project) -> None:
    project.write("docs/queue.md", "Ours\n")
    project.update()
    assert conflicts(project.folder) == ["docs/queue.md"]
    assert "Ours\n" in project.read("docs/queue.md")


def test_a_file_that_git_does_not_know_is_overwritten(project: Project) -> None:
    project.edit(".gitignore", "# Secrets and data\n", "# Secrets and data\n/docs/queue.md\n")
    project.write("docs/queue.md", "Ours\n", save=False)
    project.update()
    assert project.read("docs/queue.md") == "Theirs\n"


def test_moved_files_stay_where_the_team_has_them(project: Project) -> None:
    for name, other in (("LICENSE", "COPYING"), ("README.md", "READ.md"), (MIGRATION, "alembic/versions/0001_ours.py")):
        project.git("mv", name, other)
    project.save()
    project.update()
    assert not (project.folder / "LICENSE").exists()
    assert OLD in project.read("COPYING")
    assert {"?? README.md", f"?? {MIGRATION}"} <= set(project.changes), "what is never touched comes back"


def test_own_words_in_mails_are_kept_where_the_changelog_says(history: Path, tmp_path: Path) -> None:
    """Version 0.3.0 has the texts of mails in files of their own."""
    project = begin(history, tmp_path / "project", {"auth": "jwt"}, "0.2.0")
    mails = project / "app/modules/password/mails.py"
    replace(mails, "has forgotten the password of your account", "does not remember the password")
    commit(project, "Our words")
    copier(project, "update", "--defaults")
    assert conflicts(project) == [mails.relative_to(project).as_posix()]
    ours, theirs = mails.read_text(encoding="utf-8").split("=======\n", 1)
    assert "does not remember the password" in ours
    assert "RESET_PASSWORD.mail(" in theirs
