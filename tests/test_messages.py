"""What a person reads when a project is updated, and before something of it goes."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from tests.projects import env_keys
from tests.questionnaire import choices, config, environment, resolve
from tests.releases import CHANGELOG, commit, git, numbers, released
from tests.rendering import ROOT
from tests.updating import NEXT, begin, update

pytestmark = pytest.mark.complete

SMALL = {"docs_site": False, "example": False}
LATER = "999.1.0"
CHANGES = f"""\
# Changelog

## {LATER} (2030-01-01)

### Added

- Something new.

### Changed

- `auth=jwt`: those with passwords read this, which is long enough that no terminal shows it
  on one line, so it is wrapped.
- `auth=oidc`: those with providers read this.
- Everybody reads this.

### Settings

- `database=postgres`: `DATABASE_NEW` is new.
"""


@pytest.fixture
def later(history: Path, tmp_path: Path) -> Path:
    """A template with one more version."""
    template = Path(shutil.copytree(history, tmp_path / "template"))
    (template / "CHANGELOG.md").write_text(CHANGES, encoding="utf-8")
    commit(template, "Change", LATER)
    return template


def test_one_reads_what_concerns_ones_answers_since_ones_version(later: Path, tmp_path: Path) -> None:
    said = update(begin(later, tmp_path / "project", SMALL, NEXT))

    assert f"is now at version {LATER} of the template (previously {NEXT})." in said
    assert "those with passwords read this" in said
    assert "Everybody reads this." in said
    for other in ("those with providers", "DATABASE_NEW", "Something new", "Settings in"):
        assert other not in said, said
    assert max(map(len, said.splitlines())) < 125


def test_one_reads_nothing_about_versions_that_one_has_seen(later: Path, tmp_path: Path) -> None:
    project = begin(later, tmp_path / "project", SMALL, LATER)

    assert "Everybody reads this." not in update(project)
    assert "Everybody reads this." not in update(project, "--vcs-ref", ":current:", license="proprietary")


@pytest.mark.parametrize("version", released())
def test_every_release_reads_the_changelog_as_it_is(version: str, history: Path, tmp_path: Path) -> None:
    said = update(begin(history, tmp_path / "project", {**SMALL, "auth": "none"}, version))

    sections = re.split(r"^## ", CHANGELOG.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    for_everybody = [
        section.split()[0] for section in sections if re.search(r"^### (?!Added)\w+\n\n- [^`]", section, re.MULTILINE)
    ]
    assert for_everybody, "this test needs a version that has changed something for everybody"
    assert f"(previously {version})" in said
    for known in for_everybody:
        assert (f" in {known}:" in said) == (numbers(known) > numbers(version)), known


def test_the_changelog_is_no_jinja() -> None:
    """The message renders it, when all files are written already."""
    assert not re.search(r"\{\{|\{%|\{#", CHANGELOG.read_text(encoding="utf-8"))


def test_what_goes_is_listed_before(history: Path, tmp_path: Path) -> None:
    project = begin(history, tmp_path / "project", {**SMALL, "auth": "jwt"}, NEXT)
    said = update(project, "--vcs-ref", ":current:", auth="none")
    before, after = said.split("Keeping template version")

    deleted = git(project, "diff", "--name-only", "--diff-filter=D").splitlines()
    listed = [line.strip() for line in before.splitlines() if line.startswith("    ")]
    assert [path for path in deleted if not any(path == name or path.startswith(f"{name}/") for name in listed)] == []
    assert all(any(path == name or path.startswith(f"{name}/") for path in deleted) for name in listed)
    for table in ("user_role", "login_session", "password_hash", "refresh_token"):
        assert table in before
        assert table in after
    assert "Settings that are no longer used:" in after
    assert "JWT_SECRET_KEY" in after


def test_what_comes_is_listed_after(history: Path, tmp_path: Path) -> None:
    project = begin(history, tmp_path / "project", {**SMALL, "auth": "none"}, NEXT)
    known = env_keys(project)
    said = update(project, "--vcs-ref", ":current:", auth="oidc")

    assert "delete the following" not in said
    new = re.search(r"New settings, explained in .env.example:\n\n((?: .*\n)+)", said)
    assert new
    assert set(new[1].split()) == env_keys(project) - known
    assert "New tables:\n\n    user_role login_session identity session_cookie login_attempt" in said


def test_nothing_is_said_to_go_that_is_not_there(history: Path, tmp_path: Path) -> None:
    project = begin(history, tmp_path / "project", {**SMALL, "auth": "none"}, NEXT)
    assert "delete the following" not in update(project, "--vcs-ref", ":current:", auth="none", example=False)


def test_prompts_say_what_another_answer_deletes() -> None:
    """`copier update` without --defaults asks, and here is where one answers otherwise."""
    values = resolve({"auth": "oidc", "example": False})
    leaving = yaml.safe_load(
        environment().get_template("extensions/leaving.yml.jinja").render(values | {"previous": values})
    )
    shown = environment().from_string(config()["auth"]["help"]).render(leaving=leaving)
    assert "app/oidc" in shown
    assert "tables: identity session_cookie login_attempt" in shown
    assert "app/jwt" not in shown
    assert leaving["example"] == ""


def test_entries_name_answers_that_exist() -> None:
    """An entry for an answer that cannot be given would be read by nobody."""
    for question, answer in re.findall(r"^- `([a-z_]+)=([^`]+)`", CHANGELOG.read_text(encoding="utf-8"), re.MULTILINE):
        assert answer in {str(choice).lower() for choice in choices().get(question, ())}, f"{question}={answer}"


def test_the_message_names_the_place_of_the_changelog() -> None:
    text = (ROOT / "extensions/after_update.jinja").read_text(encoding="utf-8")
    assert "https://github.com/copier-fastapi/copier-fastapi/blob/main/CHANGELOG.md" in text


@pytest.mark.parametrize("auth", choices()["auth"])
@pytest.mark.parametrize("database", choices()["database"])
def test_the_changelog_names_every_setting_that_came_or_went(
    database: str, auth: str, history: Path, tmp_path: Path
) -> None:
    """Since the last release; under `### Settings`, for those who have it."""
    answers = {**SMALL, "database": database, "auth": auth}
    old, new = (env_keys(begin(history, tmp_path / version, answers, version)) for version in (released()[-1], NEXT))
    newest = CHANGELOG.read_text(encoding="utf-8").split("\n## ")[1]
    settings = newest.partition("\n### Settings\n")[2].split("\n### ")[0]
    entries = [
        entry
        for entry in settings.split("\n- ")[1:]
        if not (scope := re.match(r"`([a-z_]+)=([^`]+)`", entry)) or str(answers.get(scope[1])).lower() == scope[2]
    ]
    assert set(re.findall(r"`([A-Z][A-Z0-9_]+)`", "".join(entries))) == old ^ new
