"""Edits follow files that the template moves: `migrations/moves.py`, as run by `copier update`."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.matrix.processes import StepError, run
from tests.releases import commit, git
from tests.rendering import ROOT, recorded_answers
from tests.updating import NEXT, begin, conflicts, copier

pytestmark = pytest.mark.complete

BuildOnce = Callable[[str, Callable[[Path], object]], Path]

TEXT = "".join(f"line {number}\n" for number in range(1, 13))
CHANGED = TEXT.replace("line 3\n", "line 3 of the template\n")
BINARY = bytes(range(256))
SETTINGS = """\
_subdirectory: template
_exclude: ["{{ '' if extra else '/extra*' }}"]
extra: {type: bool, default: true}
name: {type: str, default: Ada}
"""
COMMAND = [
    "{{ _copier_python }}",
    "{{ _copier_conf.src_path }}/migrations/moves.py",
    "--answers-file={{ _copier_conf.answers_file }}",
]
MOVES = {
    "untouched.txt": "moved/untouched.txt",
    "edited.txt": "moved/edited.txt",
    "rendered.txt": "moved/rendered.txt",
    "conflict.txt": "moved/conflict.txt",
    "removed.txt": "moved/removed.txt",
    "extra.txt": "extra-moved.txt",
    "taken.txt": "moved/taken.txt",
    "done.txt": "moved/done.txt",
    "script.sh": "moved/script.sh",
    "with space é.txt": "moved/with space é.txt",
    "logo.png": "moved/logo.png",
    "photo.png": "moved/photo.png",
    "folder": "elsewhere",
    "folder/special.txt": "special.txt",
    "gone.txt": "",
    "gone-untouched.txt": "",
}
"""The moves of a small template, one for each case."""


def write(folder: Path, name: str, content: str | bytes) -> Path:
    """Write a file, and create its parent folders."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder / name


def declare(template: Path, version: str, *moves: str) -> None:
    """Declare moves in copier.yml, as a release does."""
    settings = template / "copier.yml"
    text = settings.read_text(encoding="utf-8")
    existing = yaml.safe_load(text).get("_migrations", [])
    text = text.partition("\n_migrations:")[0]
    added = yaml.safe_dump({"_migrations": [*existing, {"version": version, "command": [*COMMAND, *moves]}]})
    settings.write_text(f"{text}\n{added}", encoding="utf-8")


def build_small_template(folder: Path) -> None:
    """Build a template with two versions; the second one moves every file of the first."""
    write(folder, "copier.yml", SETTINGS)
    shutil.copytree(ROOT / "migrations", folder / "migrations")
    source = folder / "template"
    write(source, "{{ _copier_conf.answers_file }}.jinja", "{{ _copier_answers|to_nice_yaml -}}\n")
    for name in MOVES:
        content = BINARY if name.endswith(".png") else TEXT
        write(source, f"{name}/one.txt" if name == "folder" else name, content)
    write(source, "folder/deep/two.txt", TEXT)
    (source / "rendered.txt").rename(source / "rendered.txt.jinja").write_text(f"by {{{{ name }}}}\n{TEXT}")
    (source / "script.sh").chmod(0o755)
    commit(folder, "One", tag="1.0.0")

    for old, new in sorted(MOVES.items(), reverse=True):
        place = f"{old}.jinja" if old == "rendered.txt" else old
        if not new:
            (source / place).unlink()
            continue
        target = source / place.replace(old, new)
        target.parent.mkdir(parents=True, exist_ok=True)
        (source / place).rename(target)
    for file in (path for path in source.rglob("*.txt*")):
        file.write_text(file.read_text(encoding="utf-8").replace(TEXT, CHANGED), encoding="utf-8")
    (source / "moved/photo.png").write_bytes(BINARY[::-1])
    declare(folder, "2.0.0", *(f"{old}:{new}" for old, new in MOVES.items()))
    commit(folder, "Two", tag="2.0.0")


def edit(project: Path) -> None:
    """Edit a project of version 1.0.0 in all ways that matter."""
    edited = TEXT.replace("line 10\n", "line 10, edited\n")
    for name in (
        *("edited.txt", "taken.txt", "extra.txt", "gone.txt", "with space é.txt"),
        *("folder/deep/two.txt", "folder/special.txt"),
    ):
        write(project, name, edited)
    write(project, "rendered.txt", f"by Grace\n{edited}")
    write(project, "conflict.txt", TEXT.replace("line 3\n", "line 3, edited\n"))
    write(project, "moved/taken.txt", "my own\n")
    write(project, "moved/done.txt", CHANGED)
    write(project, "folder/own.txt", "own\n")
    write(project, "logo.png", b"\0mine")
    write(project, "photo.png", b"\0mine")
    (project / "script.sh").chmod(0o644)
    (project / "removed.txt").unlink()
    (project / "done.txt").unlink()


@pytest.fixture(scope="module")
def small_template(once: BuildOnce) -> Path:
    """A small template, tagged 1.0.0 and 2.0.0."""
    return once("moves", build_small_template)


@pytest.fixture(scope="module", params=["project", "repository/apps/the project"])
def moved(
    request: pytest.FixtureRequest, small_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """A project after an update, and the output; the project is a repository or a subfolder of one."""
    project = tmp_path_factory.mktemp("moves") / request.param
    repository = project if request.param == "project" else project.parents[1]
    project.parent.mkdir(parents=True, exist_ok=True)
    options = ("--defaults", "--vcs-ref", "1.0.0", "--data", "name=Grace", "--answers-file", ".template.yml")
    copier(project.parent, "copy", *options, str(small_template), str(project))
    commit(repository, "Start")
    edit(project)
    commit(repository, "Work")
    output = copier(project, "update", "--defaults", "--trust", "--answers-file", ".template.yml")
    return project, output


def merged(text: str) -> str:
    """Return the result of merging the changes of user and template."""
    return text.replace("line 3\n", "line 3 of the template\n").replace("line 10\n", "line 10, edited\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("edited.txt", "moved/edited.txt"),
        ("rendered.txt", "moved/rendered.txt"),
        ("with space é.txt", "moved/with space é.txt"),
        ("extra.txt", "extra-moved.txt"),
        ("folder/deep/two.txt", "elsewhere/deep/two.txt"),
        ("folder/special.txt", "special.txt"),
    ],
)
def test_edits_follow_moved_files(moved: tuple[Path, str], old: str, new: str) -> None:
    project, output = moved
    assert f"edits moved: {old} -> {new}\n" in output
    beginning = "by Grace\n" if old == "rendered.txt" else ""
    assert (project / new).read_text(encoding="utf-8") == f"{beginning}{merged(TEXT)}"
    assert not (project / old).exists()


def test_unedited_files_match_template(moved: tuple[Path, str]) -> None:
    project, output = moved
    for old, new in {"untouched.txt": "moved/untouched.txt", "folder/one.txt": "elsewhere/one.txt"}.items():
        assert (project / new).read_text(encoding="utf-8") == CHANGED
        assert not (project / old).exists()
        assert old not in output.replace("gone-untouched.txt", "").replace(str(MOVES), "").partition("moves.py")[0]
    assert not (project / "gone-untouched.txt").exists()


def test_conflict_has_format_of_copier(moved: tuple[Path, str]) -> None:
    project, output = moved
    assert "CONFLICT: conflict.txt -> moved/conflict.txt: you and the template changed the same lines" in output
    text = (project / "moved/conflict.txt").read_text(encoding="utf-8")
    assert text == TEXT.replace(
        "line 3\n",
        "<<<<<<< before updating\nline 3, edited\n=======\nline 3 of the template\n>>>>>>> after updating\n",
    )
    assert [git(project, "show", f":{stage}:./moved/conflict.txt") + "\n" for stage in (1, 2, 3)] == [
        TEXT,
        TEXT.replace("line 3\n", "line 3, edited\n"),
        CHANGED,
    ]
    listed = git(project, "diff", "--name-only", "--relative", "--diff-filter=U").splitlines()
    assert listed == ["moved/conflict.txt", "moved/photo.png", "moved/taken.txt"]


def test_binary_files_keep_version_of_user(moved: tuple[Path, str]) -> None:
    project, output = moved
    assert "edits moved: logo.png -> moved/logo.png" in output
    assert (project / "moved/logo.png").read_bytes() == b"\0mine"
    assert "CONFLICT: photo.png -> moved/photo.png" in output
    assert "it cannot be merged; your version was kept" in output
    assert (project / "moved/photo.png").read_bytes() == b"\0mine"


def test_deleted_files_stay_deleted(moved: tuple[Path, str]) -> None:
    project, output = moved
    assert "deleted: moved/removed.txt, because you deleted removed.txt" in output
    assert not (project / "removed.txt").exists()
    assert not (project / "moved/removed.txt").exists()


def test_files_already_moved_are_unchanged(moved: tuple[Path, str]) -> None:
    assert (moved[0] / "moved/done.txt").read_text(encoding="utf-8") == CHANGED


def test_existing_target_keeps_both_files(moved: tuple[Path, str]) -> None:
    project, output = moved
    assert "kept: taken.txt, because you edited it; the template now has it at moved/taken.txt" in output
    assert "line 10, edited" in (project / "taken.txt").read_text(encoding="utf-8")
    assert "my own\n" in (project / "moved/taken.txt").read_text(encoding="utf-8")


def test_edited_file_is_kept_if_template_deletes_it(moved: tuple[Path, str]) -> None:
    project, output = moved
    assert "kept: gone.txt, because you edited it; the template no longer has this file" in output
    assert (project / "gone.txt").read_text(encoding="utf-8") == TEXT.replace("line 10\n", "line 10, edited\n")


def test_file_modes_follow_moved_files(moved: tuple[Path, str]) -> None:
    project, output = moved
    assert "edits moved: script.sh -> moved/script.sh" in output
    assert not os.access(project / "moved/script.sh", os.X_OK)


def test_files_of_user_in_moved_folder_stay(moved: tuple[Path, str]) -> None:
    project, output = moved
    assert "not moved, because the template does not contain it: folder/own.txt" in output
    assert (project / "folder/own.txt").read_text(encoding="utf-8") == "own\n"


def edited_small_project(small_template: Path, folder: Path, **answers: Any) -> Path:
    """Create a project with version 1.0.0, and edit `edited.txt` and `extra.txt`."""
    project = begin(small_template, folder, answers, "1.0.0")
    for name in ("edited.txt", "extra.txt"):
        if (project / name).exists():
            write(project, name, f"{TEXT}mine\n")
    commit(project, "Work")
    return project


def test_moves_of_disabled_feature_are_ignored(small_template: Path, tmp_path: Path) -> None:
    project = edited_small_project(small_template, tmp_path / "project", extra=False)
    output = copier(project, "update", "--defaults", "--trust")
    assert "extra" not in output.partition("edits moved")[2]
    assert not list(project.glob("extra*"))


def test_edits_are_kept_if_feature_is_disabled(small_template: Path, tmp_path: Path) -> None:
    project = edited_small_project(small_template, tmp_path / "project")
    output = copier(project, "update", "--defaults", "--trust", "--data", "extra=false")
    assert "kept: extra.txt, because you edited it" in output
    assert (project / "extra.txt").read_text(encoding="utf-8") == f"{TEXT}mine\n"
    assert not (project / "extra-moved.txt").exists()


def test_rej_files_are_removed_after_merge(small_template: Path, tmp_path: Path) -> None:
    project = edited_small_project(small_template, tmp_path / "project")
    copier(project, "update", "--defaults", "--trust", "--conflict", "rej")
    assert (project / "moved/edited.txt").read_text(encoding="utf-8") == f"{CHANGED}mine\n"
    assert conflicts(project) == []


def test_failed_render_shows_where_edits_are(small_template: Path, tmp_path: Path) -> None:
    """The script is run alone, because an update would fail to render the old version earlier."""
    project = edited_small_project(small_template, tmp_path / "project")
    copier(project, "update", "--defaults", "--trust")
    script = small_template / "migrations/moves.py"
    with pytest.raises(StepError) as error:
        run(project, sys.executable, str(script), "edited.txt:moved/edited.txt", VERSION_FROM="0.0.7")
    assert error.value.code == 1
    output = str(error.value)
    assert "Version '0.0.7' of the template, which generated this project, cannot be rendered" in output
    assert "Unknown revision" in output
    assert "git show 'HEAD:./edited.txt'" in output
    assert "git restore --staged --worktree ." in output


def test_file_moved_twice_keeps_edits(small_template: Path, tmp_path: Path) -> None:
    """Also over several versions in one update, including the last change of the template."""
    template = shutil.copytree(small_template, tmp_path / "template")
    settings = template / "copier.yml"
    text = settings.read_text(encoding="utf-8").replace("edited.txt:moved/edited.txt", "edited.txt:again.txt")
    settings.write_text(text, encoding="utf-8")
    declare(template, "3.0.0", "moved/edited.txt:again.txt")
    (template / "template/moved/edited.txt").rename(template / "template/again.txt")
    write(template, "template/again.txt", CHANGED.replace("line 6\n", "line 6 as well\n"))
    commit(template, "Three", tag="3.0.0")
    expected = f"{CHANGED}mine\n".replace("line 6\n", "line 6 as well\n")

    direct, halfway = (edited_small_project(template, tmp_path / name) for name in ("direct", "halfway"))
    copier(halfway, "update", "--defaults", "--trust", "--vcs-ref", "2.0.0")
    commit(halfway, "Update")
    for project in (direct, halfway):
        copier(project, "update", "--defaults", "--trust")
        assert (project / "again.txt").read_text(encoding="utf-8") == expected
        assert not list(project.rglob("edited.txt"))
        assert conflicts(project) == []


# ── this template ─────────────────────────────────────────────────────────────

OLD, NEW = "app/core/shutdown.py", "app/core/ending.py"
RENDERED = ("LICENSE", "docs/license.txt")
EDIT = "# Mine.\n"
REFUSAL = """\
Template uses potentially unsafe feature: migrations.
If you trust this template, consider adding the `--trust` option when running `copier copy/update`."""


def move(template: Path, old: str, new: str) -> None:
    """Move a file of the template, and edit its first line."""
    suffix = "" if (template / "template" / old).exists() else ".jinja"
    source, target = (template / "template" / f"{name}{suffix}" for name in (old, new))
    first, _, rest = source.read_text(encoding="utf-8").partition("\n")
    source.unlink()
    target.write_text(f"{first} So it is.\n{rest}", encoding="utf-8")


@pytest.fixture(scope="module")
def template_with_moves(history: Path, once: BuildOnce) -> Path:
    """The template with two future releases: the first one moves two files, the second one changes one of them."""

    def release(folder: Path) -> None:
        shutil.copytree(history, folder)
        move(folder, OLD, NEW)
        move(folder, *RENDERED)
        declare(folder, "999.1.0", f"{OLD}:{NEW}", ":".join(RENDERED))
        commit(folder, "Move", tag="999.1.0")
        file = folder / "template" / NEW
        file.write_text(file.read_text(encoding="utf-8").replace("So it is.", "So it was."), encoding="utf-8")
        commit(folder, "Change", tag="999.2.0")

    return once("moving", release)


def edited_project(template_with_moves: Path, folder: Path) -> Path:
    """Create a project with the version before the move, and edit the ends of both files."""
    project = begin(template_with_moves, folder, {"auth": "none", "example": False}, NEXT)
    for name in (OLD, RENDERED[0]):
        with (project / name).open("a", encoding="utf-8") as file:
            file.write(EDIT)
    commit(project, "Work")
    return project


def test_move_needs_trust_once_and_keeps_edits(template_with_moves: Path, tmp_path: Path) -> None:
    project = edited_project(template_with_moves, tmp_path / "project")
    with pytest.raises(StepError) as error:
        copier(project, "update", "--defaults", "--vcs-ref", "999.1.0")
    assert error.value.code == 4
    assert str(error.value).partition("\n")[2].strip() == REFUSAL, "Copier shows only its own message"
    assert git(project, "status", "--porcelain") == ""

    output = copier(project, "update", "--defaults", "--trust", "--vcs-ref", "999.1.0")
    assert f"edits moved: {OLD} -> {NEW}" in output
    assert conflicts(project) == []
    for old, new in ((OLD, NEW), RENDERED):
        text = (project / new).read_text(encoding="utf-8")
        assert "So it is." in text.partition("\n")[0]
        assert text.endswith(EDIT)
        assert not (project / old).exists()

    commit(project, "Update")
    copier(project, "update", "--defaults")
    text = (project / NEW).read_text(encoding="utf-8")
    assert "So it was." in text.partition("\n")[0]
    assert text.endswith(EDIT)
    assert recorded_answers(project)["_commit"] == "999.2.0"
