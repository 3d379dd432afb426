"""Conflicts between changes of the user and of the template, resolved as docs/how-to/update.md describes."""

import re
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from tests.markdown import Block, blocks
from tests.outdated_project import GUIDE, LATER, OLD, OURS, SMALL, THEIRS, OutdatedProject, replace_once
from tests.releases import commit
from tests.updating import NEXT, begin, conflicts, copier_update, tree

pytestmark = pytest.mark.complete

BuildOnce = Callable[[str, Callable[[Path], object]], Path]
MIGRATION = "alembic/versions/0001_initial.py"


@pytest.fixture
def project(once: BuildOnce, history: Path, tmp_path: Path) -> OutdatedProject:
    """A project whose template has a newer version."""
    return OutdatedProject.create(once, history, tmp_path)


@pytest.fixture
def conflicting(project: OutdatedProject) -> OutdatedProject:
    """A project with an edit of a line that the newer version changes as well."""
    project.write(".env", "OURS=1\n", commit=False)
    project.edit("LICENSE", OLD, OURS, commit=False)
    project.edit("LICENSE", "furnished", "handed")
    return project


def guide_output(marker: str) -> str:
    """Return a block of output from the guide."""
    (body,) = (block.body for block in blocks(GUIDE.read_text(encoding="utf-8")) if block.marker == marker)
    return dedent(body)


def guide_commands() -> Block:
    """Return the commands of the guide that take one side of a conflict."""
    (found,) = (block for block in blocks(GUIDE.read_text(encoding="utf-8")) if "--ours" in block.body)
    return found


def test_update_output_matches_guide(project: OutdatedProject) -> None:
    output = project.update()
    for line in guide_output("update_output").splitlines():
        if line != "…":
            assert line.replace("0.2.0", LATER).replace("0.1.0", NEXT) in output.splitlines()


def test_same_lines_changed_is_a_conflict(conflicting: OutdatedProject) -> None:
    conflicting.update()
    assert conflicts(conflicting.folder) == ["LICENSE"]
    assert conflicting.run_guide("## Conflicts", 0).splitlines()[1:2] == ["UU LICENSE"]
    assert guide_output("conflict") in conflicting.read("LICENSE")
    with pytest.raises(Exception, match="unmerged files"):
        conflicting.git("commit", "--message", "Update")


def resolve(project: OutdatedProject) -> None:
    """Commit, and check that another update changes nothing."""
    project.git("add", "LICENSE")
    project.commit()
    assert conflicts(project.folder) == []
    project.update()
    assert project.changes == []


def test_conflict_can_be_resolved_by_hand(conflicting: OutdatedProject) -> None:
    conflicting.update()
    text = conflicting.read("LICENSE").replace(guide_output("conflict"), "in the Software with care\n")
    conflicting.write("LICENSE", text, commit=False)
    resolve(conflicting)


def test_conflict_can_be_resolved_with_one_side(conflicting: OutdatedProject, tmp_path: Path) -> None:
    before = conflicting.read("LICENSE")
    fresh = begin(conflicting.template, tmp_path / "fresh", SMALL, LATER)
    conflicting.update()
    ours, theirs, again = guide_commands().commands()
    for command, expected in ((ours, before), (theirs, (fresh / "LICENSE").read_text(encoding="utf-8"))):
        conflicting.git(*command.split()[1:])
        assert conflicting.read("LICENSE") == expected
    conflicting.git(*again.split()[1:])
    assert conflicts(conflicting.folder) == ["LICENSE"]
    conflicting.git(*ours.split()[1:])
    resolve(conflicting)
    assert conflicting.read("LICENSE") == before


def test_update_can_be_undone(conflicting: OutdatedProject) -> None:
    before = tree(conflicting.folder)
    for number in (0, 1):
        conflicting.update("--data", "database=postgres")
        conflicting.run_guide("## Undo an update", number)
        assert conflicting.changes == []
        assert tree(conflicting.folder) == before
        assert conflicting.read(".env") == "OURS=1\n"


def test_rej_file_contains_changes_of_user(conflicting: OutdatedProject) -> None:
    conflicting.update("--conflict", "rej")
    assert conflicts(conflicting.folder) == ["LICENSE.rej"]
    assert THEIRS in conflicting.read("LICENSE")
    assert "handed" in conflicting.read("LICENSE.rej")
    assert f"+in the Software {OURS}" in conflicting.read("LICENSE.rej")
    (conflicting.folder / "LICENSE.rej").unlink()
    resolve(conflicting)


def test_new_file_conflicts_with_existing_file(project: OutdatedProject) -> None:
    project.write("docs/queue.md", "Ours\n")
    project.update()
    assert conflicts(project.folder) == ["docs/queue.md"]
    assert "Ours\n" in project.read("docs/queue.md")


def test_deleted_folders_stay_deleted(project: OutdatedProject) -> None:
    project.git("rm", "-r", "--quiet", ".github", "docs")
    project.commit()
    project.update("--data", "database=postgres")
    assert conflicts(project.folder) == []
    assert THEIRS in project.read("LICENSE")
    assert not (project.folder / ".github").exists()
    assert not (project.folder / "docs").exists()


def test_new_file_is_added_to_folder_with_own_files(project: OutdatedProject) -> None:
    project.git("rm", "-r", "--quiet", "docs")
    (project.folder / "docs/ours").mkdir(parents=True)
    project.write("docs/ours/guide.md", "Ours\n")
    project.update()
    assert {path.name for path in (project.folder / "docs").rglob("*.md")} == {"queue.md", "guide.md"}


def test_ignored_file_is_overwritten(project: OutdatedProject) -> None:
    project.edit(".gitignore", "# Secrets and data\n", "# Secrets and data\n/docs/queue.md\n")
    project.write("docs/queue.md", "Ours\n", commit=False)
    project.update()
    assert project.read("docs/queue.md") == "Theirs\n"


def test_personal_gitignore_does_not_revert_edits(
    project: OutdatedProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copier discards edits of files that git ignores, even if git tracks them."""
    included = re.findall(r"^!/(.+)$", project.read(".gitignore"), re.MULTILINE)
    assert {".python-version", "LICENSE"} <= set(included)
    for name in included:
        project.write(name, f"{project.read(name)}# Ours\n", commit=False)
    project.commit()
    (tmp_path / "ignored").write_text("\n".join(included), encoding="utf-8")
    for name, value in {"COUNT": "1", "KEY_0": "core.excludesFile", "VALUE_0": f"{tmp_path}/ignored"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    project.update()
    assert conflicts(project.folder) == []
    assert [name for name in included if not project.read(name).endswith("# Ours\n")] == []
    assert THEIRS in project.read("LICENSE")


def test_files_renamed_by_user_are_not_updated(project: OutdatedProject) -> None:
    for name, other in (("LICENSE", "COPYING"), ("README.md", "READ.md"), (MIGRATION, "alembic/versions/0001_ours.py")):
        project.git("mv", name, other)
    project.commit()
    project.update()
    assert not (project.folder / "LICENSE").exists()
    assert OLD in project.read("COPYING")
    assert {"?? README.md", f"?? {MIGRATION}"} <= set(project.changes), (
        "files that updates never change are created again"
    )


def test_edited_email_texts_conflict_as_documented(history: Path, tmp_path: Path) -> None:
    """Version 0.3.0 moves the email texts into separate files, and the module that contained them."""
    project = begin(history, tmp_path / "project", {"auth": "jwt"}, "0.2.0")
    emails = project / "app/modules/password/emails.py"
    replace_once(
        emails.with_name("mails.py"), "has forgotten the password of your account", "does not remember the password"
    )
    commit(project, "Edit an email")
    copier_update(project)
    assert conflicts(project) == [emails.relative_to(project).as_posix()]
    text = emails.read_text(encoding="utf-8")
    assert "does not remember the password" in text.split("=======\n", 1)[0]
    assert "RESET_PASSWORD.render(" in text
