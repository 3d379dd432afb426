"""Updates of another kind: interrupted, over several versions, in a larger repository, on Windows, and starting over."""

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
from tests.releases import commit, released
from tests.trouble import GUIDE, LATER, OLD, OURS, SMALL, THEIRS, Project, replace
from tests.updating import ISOLATED, NEXT, begin, conflicts, copier, tree

pytestmark = pytest.mark.complete

Once = Callable[[str, Callable[[Path], object]], Path]
MIGRATION = "alembic/versions/0001_initial.py"


@pytest.fixture
def project(once: Once, history: Path, tmp_path: Path) -> Project:
    """A project that a newer version of the template waits for."""
    return Project.begin(once, history, tmp_path)


def test_prereleases_are_not_taken(project: Project) -> None:
    template = project.from_copy()
    commit(template, "Try", "1000.0.0rc1")
    project.update()
    assert project.version == LATER
    project.save()
    assert "up-to-date" in copier(project.folder, "check-update")
    project.update("--prereleases")
    assert project.version == "1000.0.0rc1"
    project.save()
    project.refuses(shown="Downgrades are not supported")


def test_starting_over(project: Project) -> None:
    project.write(".env", "OURS=1\n", save=False)
    project.write("app/ours.py", "OURS = 1\n", save=False)
    for name in ("README.md", "CHANGELOG.md", MIGRATION, "CONTRIBUTING.md"):
        with (project.folder / name).open("a", encoding="utf-8") as file:
            file.write("# Ours\n")
    (project.folder / "docs/sqlite.md").unlink()
    project.answer("user_name", "user_name: Us\n")

    project.follows("### Start over")
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


def test_starting_over_with_another_answer_leaves_files_of_the_old_one(project: Project) -> None:
    copier(project.folder, "recopy", "--defaults", "--overwrite", "--data", "database=postgres")
    assert (project.folder / "app/db/sqlite.py").exists()


def test_a_folder_of_a_larger_repository(project: Project) -> None:
    project.edit("LICENSE", OLD, OURS)
    top = project.folder.with_name("top")
    inner = Project(top / "services/billing", project.template)
    shutil.copytree(project.folder, inner.folder, ignore=shutil.ignore_patterns(".git"))
    (top / "notes.txt").write_text("Ours\n", encoding="utf-8")
    commit(top, "Start")
    (top / "notes.txt").write_text("Not committed\n", encoding="utf-8")
    before = tree(inner.folder)

    inner.update("--data", "database=postgres")
    assert "UU services/billing/LICENSE" in inner.changes
    inner.follows("## Undo an update", 1)
    assert inner.changes == [" M notes.txt"]
    assert tree(inner.folder) == before
    replace(inner.folder / "LICENSE", OURS, OLD)
    commit(inner.folder, "Ours")
    assert inner.update()
    assert conflicts(inner.folder) == []
    assert THEIRS in inner.read("LICENSE")
    assert (inner.folder / "docs/queue.md").exists()
    assert not (top / "docs").exists()


@pytest.mark.parametrize("version", released())
def test_versions_may_be_skipped(version: str, project: Project, tmp_path: Path) -> None:
    results = []
    for name, steps in {"one": (NEXT, LATER), "other": (LATER,)}.items():
        folder = begin(project.template, tmp_path / name, SMALL, version)
        replace(folder / "LICENSE", "furnished", "handed")
        commit(folder, "Ours")
        for step in steps:
            copier(folder, "update", "--defaults", "--vcs-ref", step)
            commit(folder, step)
        results.append(tree(folder))
    assert results[0] == results[1]


def test_lines_that_end_as_on_windows(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"COUNT": "1", "KEY_0": "core.autocrlf", "VALUE_0": "true"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    (project.folder / ".gitattributes").unlink(missing_ok=True)
    project.edit("LICENSE", "furnished", "handed")
    project.git("rm", "-r", "--quiet", "--cached", ".")
    project.git("reset", "--quiet", "--hard")
    assert b"\r\n" in (project.folder / "LICENSE").read_bytes()
    project.update()
    assert conflicts(project.folder) == ["LICENSE"]
    assert (project.folder / "LICENSE").read_bytes().startswith(b"<<<<<<<"), "the whole file"

    project.follows("## Undo an update", 0)
    project.follows("### Whole files are in conflict")
    assert b"\r\n" not in (project.folder / "LICENSE").read_bytes()
    project.update()
    assert conflicts(project.folder) == []
    assert "handed" in project.read("LICENSE")
    assert THEIRS in project.read("LICENSE")


def test_a_project_made_without_copier(project: Project) -> None:
    shutil.rmtree(project.folder / ".git")
    for name in (".copier-answers.yml", "app/core/health.py"):
        (project.folder / name).unlink()
    project.edit("LICENSE", "furnished", "handed")
    project.follows(
        "### The project was made without Copier",
        instead={"git checkout --patch": "git checkout LICENSE", " --overwrite ": f" --overwrite --vcs-ref {NEXT} "},
    )
    project.update()
    assert conflicts(project.folder) == []
    assert "handed" in project.read("LICENSE")
    assert THEIRS in project.read("LICENSE")


def test_ctrl_c_at_a_question(project: Project) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "copier", "update"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=project.folder,
        env=environment(**ISOLATED),
        start_new_session=True,
    )
    os.close(theirs)
    said = ""
    while "Which preset" not in said:
        said += os.read(ours, 4096).decode(errors="replace")
    time.sleep(0.5)  # until it listens
    os.write(ours, b"\x03")
    while "stopped by user" not in said:
        said += os.read(ours, 4096).decode(errors="replace")
    assert process.wait(timeout=60) == 1
    os.close(ours)
    assert "### Execution stopped by user" in GUIDE.read_text(encoding="utf-8")
    assert project.changes == []


def test_an_update_that_was_killed_half_way(project: Project) -> None:
    project.write(".env", "OURS=1\n", save=False)
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

    project.follows("## Undo an update", 0)
    assert project.changes == []
    assert project.read(".env") == "OURS=1\n"
    project.update()
    assert project.version == LATER


def test_one_reads_what_an_answer_takes_away(once: Once, history: Path, tmp_path: Path) -> None:
    folder = once("with-example", lambda place: begin(history, place, {**SMALL, "example": True}, NEXT))
    project = Path(shutil.copytree(folder, tmp_path / "project"))
    said = copier(project, "update", "--defaults", "--vcs-ref", ":current:", "--data", "example=false")
    text = (GUIDE.with_name("answers.md")).read_text(encoding="utf-8")
    (body,) = (block.body for block in blocks(text) if block.marker == "goes")
    assert body in said
