"""Special cases of updates: pre-releases, skipped versions, subfolders, Windows, interruption, and `copier recopy`."""

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.markdown import blocks
from tests.matrix.processes import environment
from tests.outdated_project import GUIDE, LATER, OLD, OURS, SMALL, THEIRS, OutdatedProject, replace_once
from tests.releases import commit, released
from tests.updating import ISOLATED, NEXT, begin, conflicts, copier, copier_update, tree

pytestmark = pytest.mark.complete

BuildOnce = Callable[[str, Callable[[Path], object]], Path]
MIGRATION = "alembic/versions/0001_initial.py"


@pytest.fixture
def project(once: BuildOnce, history: Path, tmp_path: Path) -> OutdatedProject:
    """A project whose template has a newer version."""
    return OutdatedProject.create(once, history, tmp_path)


def test_prereleases_are_ignored_by_default(project: OutdatedProject) -> None:
    template = project.copy_template()
    commit(template, "Prerelease", "1000.0.0rc1")
    project.update()
    assert project.version == LATER
    project.commit()
    assert "up-to-date" in copier(project.folder, "check-update")
    project.update("--prereleases")
    assert project.version == "1000.0.0rc1"
    project.commit()
    project.expect_error(shown="Downgrades are not supported")


def test_start_over_keeps_own_files(project: OutdatedProject) -> None:
    project.write(".env", "OURS=1\n", commit=False)
    project.write("app/ours.py", "OURS = 1\n", commit=False)
    for name in ("README.md", "CHANGELOG.md", MIGRATION, "CONTRIBUTING.md"):
        with (project.folder / name).open("a", encoding="utf-8") as file:
            file.write("# Ours\n")
    (project.folder / "docs/sqlite.md").unlink()
    project.edit_answer("user_name", "user_name: Us\n")

    project.run_guide("### Start over")
    assert {line[3:] for line in project.changes} - {"CHANGELOG.md"} == {
        ".copier-answers.yml",
        "CONTRIBUTING.md",
        "LICENSE",
        "docs/queue.md",
        "docs/sqlite.md",
        "pyproject.toml",
    }
    assert "user_name: Us\n" in project.read(".copier-answers.yml")
    assert project.version == LATER


def test_recopy_with_another_answer_keeps_old_files(project: OutdatedProject) -> None:
    copier(project.folder, "recopy", "--defaults", "--overwrite", "--data", "database=postgres")
    assert (project.folder / "app/db/sqlite.py").exists()


def test_project_in_subfolder_of_repository(project: OutdatedProject) -> None:
    project.edit("LICENSE", OLD, OURS)
    top = project.folder.with_name("top")
    inner = OutdatedProject(top / "services/billing", project.template)
    shutil.copytree(project.folder, inner.folder, ignore=shutil.ignore_patterns(".git"))
    (top / "notes.txt").write_text("Ours\n", encoding="utf-8")
    commit(top, "Start")
    (top / "notes.txt").write_text("Not committed\n", encoding="utf-8")
    before = tree(inner.folder)

    inner.update("--data", "database=postgres")
    assert "UU services/billing/LICENSE" in inner.changes
    inner.run_guide("## Undo an update", 1)
    assert inner.changes == [" M notes.txt"]
    assert tree(inner.folder) == before
    replace_once(inner.folder / "LICENSE", OURS, OLD)
    commit(inner.folder, "Ours")
    assert inner.update()
    assert conflicts(inner.folder) == []
    assert THEIRS in inner.read("LICENSE")
    assert (inner.folder / "docs/queue.md").exists()
    assert not (top / "docs").exists()


@pytest.mark.parametrize("version", released())
def test_skipping_versions_gives_same_result(version: str, project: OutdatedProject, tmp_path: Path) -> None:
    results = []
    for name, steps in {"one": (NEXT, LATER), "other": (LATER,)}.items():
        folder = begin(project.template, tmp_path / name, SMALL, version)
        replace_once(folder / "LICENSE", "furnished", "handed")
        commit(folder, "Ours")
        for step in steps:
            copier_update(folder, "--vcs-ref", step)
            commit(folder, step)
        results.append(tree(folder))
    assert results[0] == results[1]


def test_windows_line_endings(project: OutdatedProject, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"COUNT": "1", "KEY_0": "core.autocrlf", "VALUE_0": "true"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    (project.folder / ".gitattributes").unlink(missing_ok=True)
    project.edit("LICENSE", "furnished", "handed")
    project.git("rm", "-r", "--quiet", "--cached", ".")
    project.git("reset", "--quiet", "--hard")
    assert b"\r\n" in (project.folder / "LICENSE").read_bytes()
    project.update()
    assert conflicts(project.folder) == ["LICENSE"]
    assert (project.folder / "LICENSE").read_bytes().startswith(b"<<<<<<<"), "the whole file must be in conflict"

    project.run_guide("## Undo an update", 0)
    project.run_guide("### Whole files are in conflict")
    assert b"\r\n" not in (project.folder / "LICENSE").read_bytes()
    project.update()
    assert conflicts(project.folder) == []
    assert "handed" in project.read("LICENSE")
    assert THEIRS in project.read("LICENSE")


def test_project_created_without_copier(project: OutdatedProject) -> None:
    shutil.rmtree(project.folder / ".git")
    for name in (".copier-answers.yml", "app/core/health.py"):
        (project.folder / name).unlink()
    project.edit("LICENSE", "furnished", "handed")
    project.run_guide(
        "### The project was made without Copier",
        substitutions={
            "git checkout --patch": "git checkout LICENSE",
            " --overwrite ": f" --overwrite --vcs-ref {NEXT} ",
        },
    )
    project.update()
    assert conflicts(project.folder) == []
    assert "handed" in project.read("LICENSE")
    assert THEIRS in project.read("LICENSE")


def test_ctrl_c_at_question_changes_nothing(project: OutdatedProject) -> None:
    terminal, child_terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "copier", "update"],
        stdin=child_terminal,
        stdout=child_terminal,
        stderr=child_terminal,
        cwd=project.folder,
        env=environment(**ISOLATED),
        start_new_session=True,
    )
    os.close(child_terminal)
    output = ""
    while "Which preset" not in output:
        output += os.read(terminal, 4096).decode(errors="replace")
    time.sleep(0.5)  # until the prompt reads input
    os.write(terminal, b"\x03")
    while "stopped by user" not in output:
        output += os.read(terminal, 4096).decode(errors="replace")
    assert process.wait(timeout=60) == 1
    os.close(terminal)
    assert "### Execution stopped by user" in GUIDE.read_text(encoding="utf-8")
    assert project.changes == []


def test_killed_update_can_be_undone(project: OutdatedProject) -> None:
    project.write(".env", "OURS=1\n", commit=False)
    project.edit("LICENSE", OLD, OURS)
    process = subprocess.Popen(
        [sys.executable, "-m", "copier", "update", "--quiet", "--defaults", "--data", "database=postgres"],
        cwd=project.folder,
        env=environment(**ISOLATED, TMPDIR=str(project.folder.parent)),
        start_new_session=True,
    )
    while not project.folder.joinpath("app/db/postgres.py").exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert project.changes
    project.folder.joinpath(".git/index.lock").unlink(missing_ok=True)

    project.run_guide("## Undo an update", 0)
    assert project.changes == []
    assert project.read(".env") == "OURS=1\n"
    project.update()
    assert project.version == LATER


def test_removed_files_are_listed_as_in_guide(once: BuildOnce, history: Path, tmp_path: Path) -> None:
    folder = once("with-example", lambda folder: begin(history, folder, {"docs_site": False}, NEXT))
    project = Path(shutil.copytree(folder, tmp_path / "project"))
    output = copier(project, "update", "--defaults", "--vcs-ref", ":current:", "--data", "example=false")
    text = (GUIDE.with_name("answers.md")).read_text(encoding="utf-8")
    (body,) = (block.body for block in blocks(text) if block.marker == "removed_files")
    assert body in output
