"""When an update does not go: one reads why, nothing has changed, and docs/how-to/update.md leads on."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.questionnaire import questions
from tests.releases import commit, git, released
from tests.rendering import recorded_answers
from tests.trouble import LATER, OLD, SMALL, THEIRS, Project
from tests.updating import NEXT, begin, conflicts, copier, tree

pytestmark = pytest.mark.complete

Once = Callable[[str, Callable[[Path], object]], Path]
ANSWERS = ".copier-answers.yml"
MADE_UP = f"{NEXT}-1-g1a2b3c4"


@pytest.fixture
def project(once: Once, history: Path, tmp_path: Path) -> Project:
    """A project that a newer version of the template waits for."""
    return Project.begin(once, history, tmp_path)


def arrives(project: Project) -> None:
    """Update without a conflict, and find what the later version has brought."""
    project.update()
    assert conflicts(project.folder) == []
    assert project.version == LATER
    assert THEIRS in project.read("LICENSE")


@pytest.mark.parametrize("name", ["LICENSE", "notes.txt"])
def test_a_project_with_uncommitted_work(name: str, project: Project) -> None:
    with (project.folder / name).open("a", encoding="utf-8") as file:
        file.write("Ours\n")
    project.refuses(shown="Destination repository is dirty")
    project.follows("### Destination repository is dirty")
    arrives(project)
    assert project.read(name).endswith("Ours\n")


def test_a_second_update_before_the_first_is_committed(project: Project) -> None:
    project.update()
    project.refuses(shown="Destination repository is dirty")
    project.follows("### Destination repository is dirty")
    project.update()
    assert project.changes == []


def test_a_project_without_git(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.folder.parent))
    project.edit("LICENSE", "furnished", "handed")
    shutil.rmtree(project.folder / ".git")
    with pytest.raises(Exception, match="Updating is only supported in git-tracked subprojects"):
        project.update()
    project.follows("### Updating is only supported in git-tracked subprojects")
    assert THEIRS in project.read("LICENSE")
    assert "handed" in project.read("LICENSE")


def work(project: Project) -> None:
    """Do what has to be there after everything is well again."""
    project.write("app/ours.py", "OURS = 1\n", save=False)
    (project.folder / "docs/sqlite.md").unlink()
    project.edit("LICENSE", "furnished", "handed")


def kept(project: Project) -> bool:
    """Say whether it is there."""
    there = (project.folder / "app/ours.py").exists() and "handed" in project.read("LICENSE")
    return there and not (project.folder / "docs/sqlite.md").exists()


def test_answers_that_are_lost_come_from_git(project: Project) -> None:
    before = project.read(ANSWERS)
    work(project)
    (project.folder / ANSWERS).unlink()
    project.save()
    project.refuses(shown="Template not found")
    project.follows("### Template not found", 0)
    assert project.read(ANSWERS) == before
    project.save()
    arrives(project)
    assert kept(project)


def test_answers_that_never_were_in_git_are_rendered_again(project: Project) -> None:
    before = project.read(ANSWERS)
    work(project)
    (project.folder / ANSWERS).unlink()
    project.save()
    said = project.follows("### Template not found", 1, {"../again .\n": "../again . || true\n"})
    assert {line.replace("../again", "again") for line in said.splitlines() if line.startswith(("Only", "Files"))} == {
        "Files again/LICENSE and ./LICENSE differ",
        f"Only in again: {ANSWERS}",
        "Only in .: .git",
        "Only in ./app: ours.py",
        "Only in again/docs: sqlite.md",
    }
    assert project.read(ANSWERS) == before
    project.save()
    arrives(project)
    assert kept(project)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("_src_path", "Template not found"),
        ("_commit", "Cannot update because cannot obtain old template references"),
    ],
)
def test_answers_that_do_not_say_from_where(line: str, shown: str, project: Project) -> None:
    before = project.read(ANSWERS)
    project.answer(line, "")
    project.refuses(shown=shown)
    project.write(ANSWERS, before)
    arrives(project)


@pytest.mark.parametrize("version", ["0.0.1", MADE_UP, "None"])
def test_a_version_that_the_template_does_not_have(version: str, project: Project) -> None:
    work(project)
    project.answer("_commit", f"_commit: {version}\n")
    project.refuses(shown="Unknown revision")
    project.refuses("check-update", shown="Unknown revision")
    project.answer("_commit", f"_commit: {NEXT}\n")
    arrives(project)
    assert kept(project)


def test_a_version_asked_for_that_the_template_does_not_have(project: Project) -> None:
    project.refuses("update", "--defaults", "--vcs-ref", "0.0.1", shown="Unknown revision")


def test_a_guess_that_is_too_old_is_harmless_and_one_that_is_too_new_is_not(project: Project, tmp_path: Path) -> None:
    later = begin(project.template, tmp_path / "later", SMALL, LATER)
    before = tree(later)
    guessed = Project(later, project.template)
    guessed.answer("_commit", f"_commit: {NEXT}\n")
    guessed.update()
    assert tree(later) == before

    project.answer("_commit", f"_commit: {LATER}\n")
    project.update()
    assert OLD in project.read("LICENSE"), "what came in between never arrives"


def test_a_shallow_clone_of_the_template(project: Project, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{project.template}", str(shallow))
    project.answer("_src_path", f"_src_path: {shallow}\n")
    project.refuses(shown="Unknown revision")
    Project(shallow, project.template).follows("### Unknown revision")
    arrives(project)


def test_a_shallow_clone_of_the_project(project: Project, tmp_path: Path) -> None:
    work(project)
    shallow = Project(tmp_path / "shallow", project.template)
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{project.folder}", str(shallow.folder))
    arrives(shallow)
    assert kept(shallow)
    shallow.save()
    shallow.git("push", "--quiet", "origin", "HEAD:other")


@pytest.mark.parametrize("place", ["template", "/nowhere"])
def test_a_template_that_has_moved(place: str, project: Project) -> None:
    project.answer("_src_path", f"_src_path: {place}\n")
    project.refuses(shown="Local template must be a directory")
    project.answer("_src_path", f"_src_path: {project.template}\n")
    arrives(project)


def test_a_template_at_a_new_place(project: Project, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(project.template, tmp_path / "moved"))
    text = project.read(ANSWERS).replace(f"_src_path: {project.template}", f"_src_path: {moved}")
    project.write(ANSWERS, text, save=False)
    project.follows("### The template has moved")
    assert project.version == LATER
    assert recorded_answers(project.folder)["_src_path"] == str(moved)


def test_a_relative_path_is_recorded_as_the_whole_one(project: Project, tmp_path: Path) -> None:
    template = Path(shutil.copytree(project.template, tmp_path / "template"))
    copier(tmp_path, "copy", "--defaults", "template", "fresh")
    assert recorded_answers(tmp_path / "fresh")["_src_path"] == str(template)
    commit(tmp_path / "fresh", "Start")
    copier(tmp_path / "fresh", "update", "--defaults")


def test_back_to_an_older_version(project: Project) -> None:
    project.refuses("update", "--defaults", "--vcs-ref", released()[-1], shown="Downgrades are not supported")
    before = tree(project.folder)
    project.update()
    project.save()
    project.git("revert", "--no-edit", "HEAD")
    assert tree(project.folder) == before
    arrives(project)


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("database=oracle", "Invalid choice for"),
        ("project_slug=My_Thing", "Validation error for question"),
        ("databse=postgres", "Unknown question"),
        ("example=flase", "must be true or false"),
    ],
)
def test_an_answer_that_is_refused(answer: str, shown: str, project: Project) -> None:
    project.refuses("update", "--defaults", "--data", answer, shown=shown)


def test_a_misspelt_question_stops_a_new_project_too(project: Project, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="Unknown question 'databse'") as refused:
        copier(tmp_path, "copy", "--defaults", "--data", "databse=postgres", str(project.template), "fresh")
    assert all(question.name in str(refused.value) for question in questions())
    assert not (tmp_path / "fresh").exists()


@pytest.mark.parametrize(("answer", "ends_well"), [("database: oracle", False), ("docs_site: true", True)])
def test_an_answer_that_was_edited_by_hand(answer: str, project: Project, *, ends_well: bool) -> None:
    before = project.read(ANSWERS)
    project.answer(answer.partition(":")[0], f"{answer}\n")
    if ends_well:
        project.update("--vcs-ref", ":current:")
        assert project.changes == [], "the files of the answer do not come"
    else:
        project.refuses(shown="Invalid choice for")
    project.write(ANSWERS, before)
    project.update("--vcs-ref", ":current:", "--data", "docs_site=true")
    assert (project.folder / "mkdocs.yml").exists()


def test_nobody_is_there_to_ask(project: Project) -> None:
    project.refuses("update", shown="Interactive session required")


def test_a_version_that_runs_a_script(project: Project) -> None:
    with (project.from_copy() / "copier.yml").open("a", encoding="utf-8") as file:
        file.write("\n_migrations:\n  - version: 999.2.0\n    command: touch moved\n")
    commit(project.folder.with_name("template"), "Move", "999.2.0")
    project.refuses(shown="potentially unsafe feature: migrations", code=4)
    project.follows("### potentially unsafe feature: migrations")
    assert (project.folder / "moved").exists()
