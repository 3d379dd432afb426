"""Edits follow a file that the template moves: `migrations/moves.py`, as `copier update` runs it."""

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

Once = Callable[[str, Callable[[Path], object]], Path]

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
"""What the new version of a small template has moved, by what happens to it."""


def write(folder: Path, name: str, content: str | bytes) -> Path:
    """Write a file, and the folders above it."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder / name


def declare(template: Path, version: str, *moves: str) -> None:
    """Declare moves in copier.yml, as a release does."""
    settings = template / "copier.yml"
    text = settings.read_text(encoding="utf-8")
    known = yaml.safe_load(text).get("_migrations", [])
    text = text.partition("\n_migrations:")[0]
    added = yaml.safe_dump({"_migrations": [*known, {"version": version, "command": [*COMMAND, *moves]}]})
    settings.write_text(f"{text}\n{added}", encoding="utf-8")


def small_template(folder: Path) -> None:
    """A template with two versions, of which the second moves everything that the first has."""
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
    """Edit a project of version 1.0.0 in all the ways there are."""
    mine = TEXT.replace("line 10\n", "line 10, and mine\n")
    for name in (
        *("edited.txt", "taken.txt", "extra.txt", "gone.txt", "with space é.txt"),
        *("folder/deep/two.txt", "folder/special.txt"),
    ):
        write(project, name, mine)
    write(project, "rendered.txt", f"by Grace\n{mine}")
    write(project, "conflict.txt", TEXT.replace("line 3\n", "line 3, mine\n"))
    write(project, "moved/taken.txt", "my own\n")
    write(project, "moved/done.txt", CHANGED)
    write(project, "folder/own.txt", "own\n")
    write(project, "logo.png", b"\0mine")
    write(project, "photo.png", b"\0mine")
    (project / "script.sh").chmod(0o644)
    (project / "removed.txt").unlink()
    (project / "done.txt").unlink()


@pytest.fixture(scope="module")
def small(once: Once) -> Path:
    """A small template, tagged 1.0.0 and 2.0.0."""
    return once("moves", small_template)


@pytest.fixture(scope="module", params=["project", "repository/apps/the project"])
def moved(request: pytest.FixtureRequest, small: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A project after an update, and what the update said; it is a repository, or a folder of one."""
    project = tmp_path_factory.mktemp("moves") / request.param
    repository = project if request.param == "project" else project.parents[1]
    project.parent.mkdir(parents=True, exist_ok=True)
    given = ("--defaults", "--vcs-ref", "1.0.0", "--data", "name=Grace", "--answers-file", ".template.yml")
    copier(project.parent, "copy", *given, str(small), str(project))
    commit(repository, "Start")
    edit(project)
    commit(repository, "Work")
    said = copier(project, "update", "--defaults", "--trust", "--answers-file", ".template.yml")
    return project, said


def merged(text: str) -> str:
    """Return what a text becomes that both have changed."""
    return text.replace("line 3\n", "line 3 of the template\n").replace("line 10\n", "line 10, and mine\n")


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
def test_edits_are_carried(moved: tuple[Path, str], old: str, new: str) -> None:
    project, said = moved
    assert f"edits carried: {old} -> {new}\n" in said
    beginning = "by Grace\n" if old == "rendered.txt" else ""
    assert (project / new).read_text(encoding="utf-8") == f"{beginning}{merged(TEXT)}"
    assert not (project / old).exists()


def test_what_was_not_edited_is_the_templates(moved: tuple[Path, str]) -> None:
    project, said = moved
    for old, new in {"untouched.txt": "moved/untouched.txt", "folder/one.txt": "elsewhere/one.txt"}.items():
        assert (project / new).read_text(encoding="utf-8") == CHANGED
        assert not (project / old).exists()
        assert old not in said.replace("gone-untouched.txt", "").replace(str(MOVES), "").partition("moves.py")[0]
    assert not (project / "gone-untouched.txt").exists()


def test_a_conflict_looks_like_one_of_copier(moved: tuple[Path, str]) -> None:
    project, said = moved
    assert "CONFLICT: conflict.txt -> moved/conflict.txt: you and the template changed the same lines" in said
    text = (project / "moved/conflict.txt").read_text(encoding="utf-8")
    assert text == TEXT.replace(
        "line 3\n",
        "<<<<<<< before updating\nline 3, mine\n=======\nline 3 of the template\n>>>>>>> after updating\n",
    )
    assert [git(project, "show", f":{stage}:./moved/conflict.txt") + "\n" for stage in (1, 2, 3)] == [
        TEXT,
        TEXT.replace("line 3\n", "line 3, mine\n"),
        CHANGED,
    ]
    listed = git(project, "diff", "--name-only", "--relative", "--diff-filter=U").splitlines()
    assert listed == ["moved/conflict.txt", "moved/photo.png", "moved/taken.txt"]


def test_what_is_not_text_is_carried_or_stays_the_users(moved: tuple[Path, str]) -> None:
    project, said = moved
    assert "edits carried: logo.png -> moved/logo.png" in said
    assert (project / "moved/logo.png").read_bytes() == b"\0mine"
    assert "CONFLICT: photo.png -> moved/photo.png" in said
    assert "it cannot be merged, yours is there" in said
    assert (project / "moved/photo.png").read_bytes() == b"\0mine"


def test_what_was_deleted_stays_deleted(moved: tuple[Path, str]) -> None:
    project, said = moved
    assert "deleted: moved/removed.txt, because you had deleted removed.txt" in said
    assert not (project / "removed.txt").exists()
    assert not (project / "moved/removed.txt").exists()


def test_what_somebody_has_moved_already_is_left_alone(moved: tuple[Path, str]) -> None:
    assert (moved[0] / "moved/done.txt").read_text(encoding="utf-8") == CHANGED


def test_a_file_that_is_in_the_way_costs_nothing(moved: tuple[Path, str]) -> None:
    project, said = moved
    assert "kept: taken.txt, because you had edited it; the template has it at moved/taken.txt now" in said
    assert "mine" in (project / "taken.txt").read_text(encoding="utf-8")
    assert "my own\n" in (project / "moved/taken.txt").read_text(encoding="utf-8")


def test_a_file_that_the_template_has_deleted_is_kept_if_it_was_edited(moved: tuple[Path, str]) -> None:
    project, said = moved
    assert "kept: gone.txt, because you had edited it; the template has it no longer" in said
    assert (project / "gone.txt").read_text(encoding="utf-8") == TEXT.replace("line 10\n", "line 10, and mine\n")


def test_modes_are_carried(moved: tuple[Path, str]) -> None:
    project, said = moved
    assert "edits carried: script.sh -> moved/script.sh" in said
    assert not os.access(project / "moved/script.sh", os.X_OK)


def test_own_files_of_a_moved_folder_stay(moved: tuple[Path, str]) -> None:
    project, said = moved
    assert "yours, and not moved: folder/own.txt" in said
    assert (project / "folder/own.txt").read_text(encoding="utf-8") == "own\n"


def started(small: Path, folder: Path, **answers: Any) -> Path:
    """Begin a project with version 1.0.0 and edit `edited.txt` and `extra.txt`."""
    project = begin(small, folder, answers, "1.0.0")
    for name in ("edited.txt", "extra.txt"):
        if (project / name).exists():
            write(project, name, f"{TEXT}mine\n")
    commit(project, "Work")
    return project


def test_a_feature_that_is_off_leaves_nothing(small: Path, tmp_path: Path) -> None:
    project = started(small, tmp_path / "project", extra=False)
    said = copier(project, "update", "--defaults", "--trust")
    assert "extra" not in said.partition("edits carried")[2]
    assert not list(project.glob("extra*"))


def test_edits_of_a_feature_that_is_switched_off_are_kept(small: Path, tmp_path: Path) -> None:
    project = started(small, tmp_path / "project")
    said = copier(project, "update", "--defaults", "--trust", "--data", "extra=false")
    assert "kept: extra.txt, because you had edited it" in said
    assert (project / "extra.txt").read_text(encoding="utf-8") == f"{TEXT}mine\n"
    assert not (project / "extra-moved.txt").exists()


def test_rejected_parts_do_not_stay_about(small: Path, tmp_path: Path) -> None:
    project = started(small, tmp_path / "project")
    copier(project, "update", "--defaults", "--trust", "--conflict", "rej")
    assert (project / "moved/edited.txt").read_text(encoding="utf-8") == f"{CHANGED}mine\n"
    assert conflicts(project) == []


def test_when_the_old_version_cannot_be_rendered_it_says_where_the_edits_are(small: Path, tmp_path: Path) -> None:
    """The update itself renders it too, so only the script can be brought into this situation."""
    project = started(small, tmp_path / "project")
    copier(project, "update", "--defaults", "--trust")
    script = small / "migrations/moves.py"
    with pytest.raises(StepError) as failed:
        run(project, sys.executable, str(script), "edited.txt:moved/edited.txt", VERSION_FROM="0.0.7")
    assert failed.value.code == 1
    said = str(failed.value)
    assert "Version '0.0.7' of the template, which the project was made with, cannot be rendered" in said
    assert "Unknown revision" in said
    assert "git show 'HEAD:./edited.txt'" in said
    assert "git restore --staged --worktree ." in said


def test_a_file_that_moves_again_is_followed_from_both_places(small: Path, tmp_path: Path) -> None:
    """Also: over several versions at once, and what the last of them changed arrives too."""
    template = shutil.copytree(small, tmp_path / "template")
    settings = template / "copier.yml"
    text = settings.read_text(encoding="utf-8").replace("edited.txt:moved/edited.txt", "edited.txt:again.txt")
    settings.write_text(text, encoding="utf-8")
    declare(template, "3.0.0", "moved/edited.txt:again.txt")
    (template / "template/moved/edited.txt").rename(template / "template/again.txt")
    write(template, "template/again.txt", CHANGED.replace("line 6\n", "line 6 as well\n"))
    commit(template, "Three", tag="3.0.0")
    expected = f"{CHANGED}mine\n".replace("line 6\n", "line 6 as well\n")

    direct, halfway = (started(template, tmp_path / name) for name in ("direct", "halfway"))
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
MINE = "# Mine.\n"
REFUSAL = """\
Template uses potentially unsafe feature: migrations.
If you trust this template, consider adding the `--trust` option when running `copier copy/update`."""


def move(template: Path, old: str, new: str) -> None:
    """Move a file of the template, and change its first line."""
    suffix = "" if (template / "template" / old).exists() else ".jinja"
    source, target = (template / "template" / f"{name}{suffix}" for name in (old, new))
    first, _, rest = source.read_text(encoding="utf-8").partition("\n")
    source.unlink()
    target.write_text(f"{first} So it is.\n{rest}", encoding="utf-8")


@pytest.fixture(scope="module")
def moving(history: Path, once: Once) -> Path:
    """The template with two releases to come: the first moves two files, the second changes one of them again."""

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


def worked_on(moving: Path, folder: Path) -> Path:
    """Begin a project with the version before the move, and edit the ends of both files."""
    project = begin(moving, folder, {"auth": "none", "example": False}, NEXT)
    for name in (OLD, RENDERED[0]):
        with (project / name).open("a", encoding="utf-8") as file:
            file.write(MINE)
    commit(project, "Work")
    return project


def test_a_move_asks_for_trust_once_and_carries_edits(moving: Path, tmp_path: Path) -> None:
    project = worked_on(moving, tmp_path / "project")
    with pytest.raises(StepError) as refused:
        copier(project, "update", "--defaults", "--vcs-ref", "999.1.0")
    assert refused.value.code == 4
    assert str(refused.value).partition("\n")[2].strip() == REFUSAL, "nothing of ours can be said here"
    assert git(project, "status", "--porcelain") == ""

    said = copier(project, "update", "--defaults", "--trust", "--vcs-ref", "999.1.0")
    assert f"edits carried: {OLD} -> {NEW}" in said
    assert conflicts(project) == []
    for old, new in ((OLD, NEW), RENDERED):
        text = (project / new).read_text(encoding="utf-8")
        assert "So it is." in text.partition("\n")[0]
        assert text.endswith(MINE)
        assert not (project / old).exists()

    commit(project, "Update")
    copier(project, "update", "--defaults")
    text = (project / NEW).read_text(encoding="utf-8")
    assert "So it was." in text.partition("\n")[0]
    assert text.endswith(MINE)
    assert recorded_answers(project)["_commit"] == "999.2.0"
