"""Messages before and after an update."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from tests.outdated_project import replace_once
from tests.projects import env_keys
from tests.questionnaire import choices, config, environment, resolve
from tests.releases import CHANGELOG, commit, git, released, version_key
from tests.rendering import ROOT, recorded_answers
from tests.updating import NEXT, begin, copier, update

pytestmark = pytest.mark.complete

SMALL = {"docs_site": False, "example": False}
LATER = "999.1.0"
NEWER_CHANGELOG = f"""\
# Changelog

## {LATER} (2030-01-01)

### Added

- Something new.

### Changed

- `auth=jwt`: a change for projects with passwords. This entry is too long for one line of a
  terminal, so it is wrapped.
- `auth=oidc`: a change for projects with OpenID Connect.
- `auth=oidc` and `auth=jwt`: a change for projects with authentication.
- A change for all projects.

### Settings

- `database=postgres`: `DATABASE_NEW` is new.
"""


@pytest.fixture
def later(history: Path, tmp_path: Path) -> Path:
    """A template with an additional version."""
    template = Path(shutil.copytree(history, tmp_path / "template"))
    (template / "CHANGELOG.md").write_text(NEWER_CHANGELOG, encoding="utf-8")
    commit(template, "Change", LATER)
    return template


def test_update_shows_relevant_changes_since_version(later: Path, tmp_path: Path) -> None:
    output = update(begin(later, tmp_path / "project", SMALL, NEXT))

    assert f"is now at version {LATER} of the template (previously {NEXT})." in output
    assert "a change for projects with passwords" in output
    assert "a change for projects with authentication" in output
    assert "A change for all projects." in output
    for other in ("projects with OpenID Connect", "DATABASE_NEW", "Something new", "Settings in"):
        assert other not in output, output
    assert max(map(len, output.splitlines())) < 125


def test_update_hides_changes_of_earlier_versions(later: Path, tmp_path: Path) -> None:
    project = begin(later, tmp_path / "project", SMALL, LATER)

    assert "A change for all projects." not in update(project)
    assert "A change for all projects." not in update(project, "--vcs-ref", ":current:", license="proprietary")


@pytest.mark.parametrize("version", released())
def test_update_from_each_release_shows_changelog(version: str, history: Path, tmp_path: Path) -> None:
    output = update(begin(history, tmp_path / "project", {**SMALL, "auth": "none"}, version))

    sections = re.split(r"^## ", CHANGELOG.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    for_all_projects = [
        section.split()[0] for section in sections if re.search(r"^### (?!Added)\w+\n\n- [^`]", section, re.MULTILINE)
    ]
    assert for_all_projects, "this test needs a version with a change for all projects"
    assert f"(previously {version})" in output
    for known in for_all_projects:
        assert (f" in {known}:" in output) == (version_key(known) > version_key(version)), known


def test_changelog_contains_no_jinja() -> None:
    """The message after an update renders the changelog, when all files are already written."""
    assert not re.search(r"\{\{|\{%|\{#", CHANGELOG.read_text(encoding="utf-8"))


def test_removed_files_are_listed_before_update(history: Path, tmp_path: Path) -> None:
    project = begin(history, tmp_path / "project", {**SMALL, "auth": "jwt"}, NEXT)
    output = update(project, "--vcs-ref", ":current:", auth="none")
    before, after = output.split("Keeping template version")

    deleted = git(project, "diff", "--name-only", "--diff-filter=D").splitlines()
    listed = [line.strip() for line in before.splitlines() if line.startswith("    ")]
    assert [path for path in deleted if not any(path == name or path.startswith(f"{name}/") for name in listed)] == []
    assert all(any(path == name or path.startswith(f"{name}/") for path in deleted) for name in listed)
    for table in ("user_role", "login_session", "password_hash", "refresh_token"):
        assert table in before
        assert table in after
    assert "Settings that are no longer used:" in after
    assert "JWT_SECRET_KEY" in after


def test_new_settings_are_listed_after_update(history: Path, tmp_path: Path) -> None:
    project = begin(history, tmp_path / "project", {**SMALL, "auth": "none"}, NEXT)
    known = env_keys(project)
    output = update(project, "--vcs-ref", ":current:", auth="oidc")

    deleted = re.search(r"delete the following[^\n]*\n\n((?: .*\n)+)", output)
    assert deleted
    assert deleted[1].split() == ["tests/sign_in_none.py"]
    new = re.search(r"New settings, explained in .env.example:\n\n((?: .*\n)+)", output)
    assert new
    assert set(new[1].split()) == env_keys(project) - known
    assert "New tables:\n\n    user_role login_session identity session_cookie login_attempt" in output


def test_change_of_database_says_that_data_is_not_copied(history: Path, tmp_path: Path) -> None:
    project = begin(history, tmp_path / "project", {**SMALL, "auth": "none"}, NEXT)
    before, after = update(project, "--vcs-ref", ":current:", database="postgres").split("Keeping template version")
    for text, sentence in ((before, "The data is not copied"), (after, "The data was not copied")):
        assert f"{sentence} to the new database. To keep it, follow this guide:" in text
        assert "docs/how-to/postgresql.md" in text
    commit(project, "PostgreSQL")
    assert "copied to the new database" not in update(project, "--vcs-ref", ":current:", license="proprietary")


def test_message_names_unreleased_version(history: Path, template: Path, tmp_path: Path) -> None:
    copy = ("copy", "--defaults", "--vcs-ref", "HEAD")
    assert "unreleased" not in copier(tmp_path, *copy, str(history), "release")

    unreleased = Path(shutil.copytree(history, tmp_path / "unreleased"))
    commit(unreleased, "Change")
    version = git(unreleased, "describe", "--tags")
    output = copier(tmp_path, *copy, str(unreleased), "project")
    assert f"based on {version}, an unreleased version of the template in {unreleased}." in output

    output = copier(tmp_path, *copy, str(template), "folder")
    assert "`copier update` cannot update the project" in output
    assert "_commit" not in recorded_answers(tmp_path / "folder")


def test_message_says_that_changes_since_unreleased_version_are_not_listed(later: Path, tmp_path: Path) -> None:
    project = begin(later, tmp_path / "project", SMALL, NEXT)
    file = project / ".copier-answers.yml"
    replace_once(file, f"_commit: {NEXT}\n", f"_commit: {git(later, 'rev-parse', NEXT)}\n")
    commit(project, "Unreleased")
    output = copier(project, "update", "--defaults")
    assert "The previous version is not a release, so the changes since then are not listed here." in output
    assert "A change for all projects." not in output


def test_missing_files_are_not_listed_as_removed(history: Path, tmp_path: Path) -> None:
    project = begin(history, tmp_path / "project", {**SMALL, "auth": "none"}, NEXT)
    assert "delete the following" not in update(project, "--vcs-ref", ":current:", auth="none", example=False)


def test_prompts_list_what_another_answer_removes() -> None:
    """`copier update` without --defaults asks each question again."""
    values = resolve({"auth": "oidc", "example": False})
    removed_by_answer = yaml.safe_load(
        environment().get_template("extensions/removed_by_answer.yml.jinja").render(values | {"previous": values})
    )
    shown = environment().from_string(config()["auth"]["help"]).render(removed_by_answer=removed_by_answer)
    assert "app/oidc" in shown
    assert "tables: identity session_cookie login_attempt" in shown
    assert "app/jwt" not in shown
    assert removed_by_answer["example"] == ""


def test_changelog_entries_name_valid_answers() -> None:
    """An entry for an invalid answer would never be shown."""
    for question, answer in re.findall(r"^- `([a-z_]+)=([^`]+)`", CHANGELOG.read_text(encoding="utf-8"), re.MULTILINE):
        assert answer in {str(choice).lower() for choice in choices().get(question, ())}, f"{question}={answer}"


def test_message_links_to_changelog() -> None:
    text = (ROOT / "extensions/after_update.jinja").read_text(encoding="utf-8")
    assert "https://github.com/copier-fastapi/copier-fastapi/blob/main/CHANGELOG.md" in text


@pytest.mark.parametrize("auth", choices()["auth"])
@pytest.mark.parametrize("database", choices()["database"])
def test_changelog_lists_added_and_removed_settings(database: str, auth: str, history: Path, tmp_path: Path) -> None:
    """Under `### Settings`, since the last release, for each combination of answers."""
    answers = {**SMALL, "database": database, "auth": auth}
    old, new = (env_keys(begin(history, tmp_path / version, answers, version)) for version in (released()[-1], NEXT))
    newest = CHANGELOG.read_text(encoding="utf-8").split("\n## ")[1]
    settings = newest.partition("\n### Settings\n")[2].split("\n### ")[0]
    entries = [
        entry
        for entry in settings.split("\n- ")[1:]
        if not (named := re.findall(r"`([a-z_]+)=([^`]+)`", entry.split(":")[0]))
        or any(str(answers.get(question)).lower() == answer for question, answer in named)
    ]
    assert set(re.findall(r"`([A-Z][A-Z0-9_]+)`", "".join(entries))) == old ^ new
