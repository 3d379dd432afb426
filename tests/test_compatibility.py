"""Projects of every release can be updated: nothing that they depend on is removed without a migration.

Each rule is a function that compares a release with the working tree, and yields problems with their solution. Each has a
test that violates it.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import ChainableUndefined

from tests.questionnaire import environment, resolve
from tests.releases import CHANGELOG, RELEASES, changelog_versions, commit, git, released, version_key
from tests.rendering import ROOT, recorded_answers, working_tree
from tests.updating import NEXT, begin, tree, update

pytestmark = pytest.mark.complete

SCRIPT = "{{ _copier_conf.src_path }}/migrations/moves.py"
SETTINGS = "copier.yml"
REGISTRY = "extensions/features.yml.jinja"
VALID_TEXTS = (
    *("Ada Lovelace", "Æ", "名前", 'a "quoted" name', "it's", "{{ braces }}", "# comment", "x" * 100, "x" * 200),
    *("Keeps the to-do lists of a team.", "a", "a-1", "my-service", "x" * 50, "a-b-c-d"),
    *("you@example.com", "a.b+c@sub.example.co.uk", "A_1%@x-y.io", "ada", "Ada-Lovelace", "x" * 39),
)
"""Answers to free-text questions that some release accepts."""


@dataclass(frozen=True)
class Move:
    """A move in a migration: the old path of a file, and the new one, empty if the file was deleted."""

    version: str
    old: str
    new: str


@dataclass(frozen=True, eq=False)  # compared and cached by identity
class Template:
    """The parts of a version that projects depend on: settings, questions, paths, features and their files."""

    version: str
    settings: dict[str, Any]
    paths: frozenset[str]
    features: dict[str, list[str]] = field(default_factory=dict)
    conditions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, version: str, paths: Sequence[str], read: Callable[[str], str]) -> "Template":
        """Read a version from its files."""
        answers_file = "{{ _copier_conf.answers_file }}"
        names = (
            path.removeprefix("template/").removesuffix(".jinja") for path in paths if path.startswith("template/")
        )
        # Jinja statements are YAML comments; expressions are replaced by strings.
        registry = yaml.safe_load(re.sub(r"\{\{(.*?)\}\}", lambda found: json.dumps(found[1].strip()), read(REGISTRY)))
        return cls(
            version=version,
            settings=yaml.safe_load(read(SETTINGS)),
            paths=frozenset(name.replace(answers_file, ".copier-answers.yml") for name in names),
            features={name: [path[1:] for path in feature["files"]] for name, feature in registry.items()},
            conditions={name: str(feature["enabled"]) for name, feature in registry.items()},
        )

    @property
    def questions(self) -> dict[str, dict[str, Any]]:
        """The questions whose answers are recorded."""
        return {
            name: question
            for name, question in self.settings.items()
            if name[0] != "_" and question.get("when", True) is not False
        }

    @property
    def moves(self) -> list[Move]:
        """The moves that the migrations declare."""
        return [
            Move(str(migration.get("version", "0")), *part.split(":", 1))
            for migration in self.settings.get("_migrations", [])
            if is_move_migration(migration)
            for part in migration["command"][2:]
            if not part.startswith("--")
        ]

    def has(self, path: str) -> bool:
        """Return whether a file or folder exists."""
        return any(contains(path, known) for known in self.paths)

    def owner(self, path: str) -> str:
        """Return the feature that a file belongs to, empty if every project has the file."""
        owners = [(len(file), name) for name, files in self.features.items() for file in files if contains(file, path)]
        return max(owners, default=(0, ""))[1]

    def is_on(self, feature: str, answers: dict[str, Any]) -> bool:
        """Return whether answers enable a feature. The empty feature is always enabled."""
        condition = self.conditions.get(feature, "true")
        return environment().from_string(f"{{{{ ({condition}) }}}}").render(answers) == "True"


def contains(folder: str, path: str) -> bool:
    """Return whether a path equals a folder or is inside of it."""
    return path == folder or path.startswith(f"{folder}/")


def is_move_migration(migration: Any) -> bool:
    """Return whether a migration runs migrations/moves.py."""
    return isinstance(migration, dict) and migration["command"][1:2] == [SCRIPT]


def choices(question: dict[str, Any]) -> list[Any]:
    """Return the choices of a question."""
    offered = question.get("choices", [True, False] if question.get("type") == "bool" else [])
    values = offered.values() if isinstance(offered, dict) else offered
    return [value["value"] if isinstance(value, dict) else value for value in values]


# ── the rules ─────────────────────────────────────────────────────────────────


def lost_files(old: Template, new: Template) -> Iterator[str]:
    """Yield files that are removed from projects without a migration, although they may have edits."""
    later = [move for move in new.moves if version_key(move.version) > version_key(old.version)]
    for path in sorted(old.paths):
        if path not in new.paths:
            change, where = "no longer exists", "NEW-PATH"
        elif disappears_for_some_answers(old, old.owner(path), new, new.owner(path)):
            change, where = f"is now removed if {new.owner(path)} is disabled", ""
        else:
            continue
        if not any(contains(move.old, path) for move in later):
            yield (
                f"{path} was in {old.version} and {change}. Projects may have edits in it: add to copier.yml "
                "(nothing after the colon if the template no longer has the file):\n"
                f'_migrations:\n  - version: NEXT-VERSION\n    command:\n      - "{{{{ _copier_python }}}}"\n'
                f'      - "{SCRIPT}"\n      - "--answers-file={{{{ _copier_conf.answers_file }}}}"\n'
                f'      - "{path}:{where}"'
            )


@cache
def disappears_for_some_answers(old: Template, before: str, new: Template, now: str) -> bool:
    """Return whether a file disappears for some answers because it belongs to another feature now."""
    added = {name: question.get("default") for name, question in new.questions.items() if name not in old.questions}
    asked = {name: choices(question) for name, question in old.questions.items() if choices(question)}
    deciding = f"{old.conditions.get(before, '')} {new.conditions.get(now, '')}"
    lists = [
        [(name, value) for value in values] for name, values in asked.items() if name in re.findall(r"\w+", deciding)
    ]
    projects = ({**added, **dict(row)} for row in product(*lists))
    return any(old.is_on(before, project) and not new.is_on(now, project) for project in projects)


def invalid_migrations(new: Template, versions: Sequence[str]) -> Iterator[str]:
    """Yield migrations that do not run migrations/moves.py for the version of a release with current paths."""
    for migration in new.settings.get("_migrations", []):
        if not is_move_migration(migration):
            yield f"{migration}: only migrations/moves.py is allowed; copy the declaration from its docstring"
        elif str(migration.get("version")) not in versions:
            yield (
                f"{migration}: without the version of a release, every update needs trust; "
                f"add `version:` with a version of CHANGELOG.md: {', '.join(versions)}"
            )
    for move in new.moves:
        if move.new and not new.has(move.new):
            yield (
                f"{move.old}:{move.new}: {move.new} does not exist. If it was moved again, write "
                f"{move.old}:NEW-PATH here, and {move.new}:NEW-PATH for the next version"
            )


def lost_questions(old: Template, new: Template) -> Iterator[str]:
    """Yield recorded questions that are removed and whose answer is not the default of a new question."""
    defaults = " ".join(str(question.get("default")) for name, question in new.settings.items() if name[0] != "_")
    for name, question in old.questions.items():
        now = new.questions.get(name, {})
        lost = [choice for choice in choices(question) if choice not in choices(now)]
        if not now:
            change = "was removed"
        elif now["type"] != question["type"]:
            change = f"was of type {question['type']} and is of type {now['type']}; keep the type, or use a new name"
        elif lost and choices(now):
            change = f"had the choice {lost[0]!r}; keep it, or use a new name"
        else:
            continue
        if now or not re.search(rf"\bprevious\.{name}\b", defaults):
            yield (
                f"{name}: the question of {old.version} {change}. Projects have recorded an answer: use it as the default "
                "of the question that replaces it. Write in copier.yml, and map old values to new ones:\n"
                f'NEW_NAME:\n  default: "{{{{ previous.{name} | default(DEFAULT-FOR-NEW-PROJECTS) }}}}"'
            )


def stricter_questions(old: Template, new: Template) -> Iterator[str]:
    """Yield validators that reject answers which they accepted before."""
    lenient = environment().overlay(undefined=ChainableUndefined)
    known = resolve({})

    def refuses(question: dict[str, Any], name: str, text: str) -> str:
        source = lenient.from_string(question.get("validator", ""))
        return source.render({**known, name: text}).strip()

    for name in old.questions.keys() & new.questions.keys():
        before, now = old.questions[name], new.questions[name]
        for text in VALID_TEXTS:
            if before.get("validator") and not refuses(before, name, text) and (why := refuses(now, name, text)):
                yield f"{name}: {old.version} accepted {text!r}, so projects may have it. Now: {why}. Make the validator accept it"


def lost_guarantees(old: Template, new: Template) -> Iterator[str]:
    """Yield features that are removed, and files that updates change although they did not before."""
    for path in old.settings["_skip_if_exists"]:
        if path not in new.settings["_skip_if_exists"]:
            yield f"{path}: {old.version} did not change it in updates; add it to _skip_if_exists in copier.yml again"
    for feature in old.features.keys() - new.features.keys():
        yield f"{feature}: {old.version} had this feature; add it to {REGISTRY} again"


RULES = (lost_files, lost_questions, stricter_questions, lost_guarantees)


# ── this template ─────────────────────────────────────────────────────────────


def unreleased_versions() -> list[str]:
    """Return the versions without a date in CHANGELOG.md; there is at most one."""
    return re.findall(r"^## (\d+\.\d+\.\d+) \(unreleased\)$", CHANGELOG.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def new() -> Template:
    """The template of the working tree."""
    return Template.of(
        NEXT,
        [file.as_posix() for file in working_tree()],
        lambda path: (ROOT / path).read_text(encoding="utf-8"),
    )


@pytest.fixture(scope="module")
def recorded(history: Path) -> Callable[[str], Template]:
    """Return a function that reads a recorded release."""

    def read(version: str) -> Template:
        paths = git(history, "ls-tree", "-r", "-z", "--name-only", version).split("\0")
        return Template.of(version, paths, lambda path: git(history, "show", f"{version}:{path}"))

    return read


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("version", released())
def test_projects_of_release_can_be_updated(
    version: str, rule: Callable[..., Iterator[str]], recorded: Callable[[str], Template], new: Template
) -> None:
    assert "\n\n".join(rule(recorded(version), new)) == ""


@pytest.mark.parametrize("version", released())
def test_rules_read_releases(version: str, recorded: Callable[[str], Template], new: Template) -> None:
    old = recorded(version)
    assert old.paths >= {"app/main.py", "pyproject.toml", ".copier-answers.yml", "app/security/principal.py"}
    assert "auth" in old.questions
    assert old.owner("app/security/principal.py") == "auth"
    (problem,) = lost_files(old, replace(new, paths=new.paths - {"app/main.py"}))
    assert problem.startswith("app/main.py was in")


def test_migrations_are_valid(new: Template) -> None:
    assert "\n\n".join(invalid_migrations(new, [*released(), *unreleased_versions()])) == ""


def test_only_migrations_need_trust(new: Template) -> None:
    assert not {"_tasks", "_jinja_extensions"} & set(new.settings)


def test_every_release_in_changelog_is_recorded() -> None:
    assert sorted(changelog_versions(), key=version_key) == released(), (
        "every dated heading of CHANGELOG.md needs a file in releases/, and vice versa"
    )
    assert len(unreleased_versions()) <= 1


def test_release_bundles_are_valid_and_form_a_chain(history: Path) -> None:
    """Each commit contains the hash of the previous one, so only the newest release could be changed unnoticed."""
    git(history, "fsck", "--strict", "--no-dangling")
    for before, version in zip(["", *released()], released(), strict=False):
        git(history, "bundle", "verify", "--quiet", str(RELEASES / f"{version}.bundle"))
        parent = git(history, "rev-list", "--parents", "--max-count=1", version).partition(" ")[2]
        assert parent == (git(history, "rev-parse", before) if before else "")
        assert git(history, "log", "-1", "--format=%cs", version) == changelog_versions()[version]


# ── tests that violate the rules ─────────────────────────────────────────────────────────

OLD = Template(
    version="1.0.0",
    settings={
        "_skip_if_exists": [".env"],
        "color": {"type": "str", "choices": {"Red": "red", "Blue": "blue"}, "default": "red"},
        "name": {"type": "str", "default": "Ada", "validator": "{{ 'Too long.' if name | length > 200 }}"},
        "computed": {"type": "str", "default": "x", "when": False},
    },
    paths=frozenset({"app/one.py", "app/two.py", "docs/one.md"}),
    features={"docs": ["docs"]},
)


def changed(**settings: Any) -> Template:
    """Return the template with changed settings; None removes one."""
    kept = {name: value for name, value in {**OLD.settings, **settings}.items() if value is not None}
    return replace(OLD, version="2.0.0", settings=kept)


def migration(version: str, *moves: str) -> dict[str, Any]:
    """Return the declaration of a migration."""
    start = ["{{ _copier_python }}", SCRIPT, "--answers-file={{ _copier_conf.answers_file }}"]
    return {"version": version, "command": [*start, *moves]}


def test_unchanged_template_has_no_problems() -> None:
    assert [problem for rule in RULES for problem in rule(OLD, changed(computed=None))] == []


@pytest.mark.parametrize(
    ("moves", "lost"),
    [
        ([], ["app/one.py", "app/two.py"]),
        ([migration("1.0.0", "app:core")], ["app/one.py", "app/two.py"]),  # projects of 1.0.0 do not run it any more
        ([migration("2.0.0", "app/one.py:core/one.py")], ["app/two.py"]),
        ([migration("2.0.0", "app/one.py:core/one.py", "app/two.py:")], []),
        ([migration("2.0.0", "app:core")], []),
    ],
)
def test_removed_file_needs_migration(moves: list[Any], lost: list[str]) -> None:
    new = replace(changed(_migrations=moves), paths=frozenset({"core/one.py", "docs/one.md"}))
    problems = list(lost_files(OLD, new))
    assert [problem.partition(" ")[0] for problem in problems] == lost
    assert all('      - "app/' in problem and "NEW-PATH" in problem for problem in problems)


def test_file_that_moves_to_a_feature_needs_migration() -> None:
    new = replace(changed(), features={"docs": ["docs"], "two": ["app/two.py"]}, conditions={"two": "false"})
    (problem,) = lost_files(OLD, new)
    assert problem.startswith("app/two.py was in 1.0.0 and is now removed if two is disabled")
    assert '"app/two.py:"' in problem
    assert list(lost_files(OLD, replace(changed(_migrations=[migration("2.0.0", "app/two.py:")]), features={}))) == []


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        (migration("2.0.0", "app/gone.py:app/three.py"), "write app/gone.py:NEW-PATH here"),
        (migration("3.0.0", "app/gone.py:app/one.py"), "a version of CHANGELOG.md: 1.0.0, 2.0.0"),
        ({"command": migration("", "a:")["command"]}, "every update needs trust"),
        ("rm -rf app", "only migrations/moves.py is allowed"),
        ({"version": "2.0.0", "command": "rm -rf app"}, "only migrations/moves.py is allowed"),
    ],
)
def test_invalid_migration_is_reported(declared: Any, text: str) -> None:
    assert text in "\n".join(invalid_migrations(changed(_migrations=[declared]), ["1.0.0", "2.0.0"]))


@pytest.mark.parametrize(
    ("settings", "texts"),
    [
        ({"color": None}, ["color: the question of 1.0.0 was removed", "{{ previous.color | default("]),
        (
            {"color": {"type": "int", "default": 1}},
            ["color: the question of 1.0.0 was of type str and is of type int"],
        ),
        ({"color": {"type": "str", "choices": ["blue"]}}, ["had the choice 'red'; keep it, or use a new name"]),
        ({"color": None, "paint": {"type": "str", "default": "{{ previous.color | default('red') }}"}}, []),
        ({"color": {**OLD.settings["color"], "choices": ["red", "blue", "green"]}}, []),
        ({"color": {"type": "str", "default": "red"}}, []),
        ({"color": {**OLD.settings["color"], "when": False}}, ["was removed"]),
    ],
)
def test_removed_question_needs_successor(settings: dict[str, Any], texts: list[str]) -> None:
    problems = "\n".join(lost_questions(OLD, changed(**settings)))
    assert bool(problems) == bool(texts)
    assert all(text in problems for text in texts)


def test_stricter_validator_is_reported() -> None:
    strict = {**OLD.settings["name"], "validator": "{{ 'Letters only' if not name.isalpha() }}"}
    problems = list(stricter_questions(OLD, changed(name=strict)))
    assert (
        "name: 1.0.0 accepted 'Ada Lovelace', so projects may have it. Now: Letters only. Make the validator accept it"
        in problems
    )


def test_lost_guarantees_are_reported() -> None:
    assert list(lost_guarantees(OLD, replace(changed(_skip_if_exists=[]), features={}))) == [
        ".env: 1.0.0 did not change it in updates; add it to _skip_if_exists in copier.yml again",
        f"docs: 1.0.0 had this feature; add it to {REGISTRY} again",
    ]


# ── a renamed question ────────────────────────────────────────────────────────

ASKED, RENAMED = "docs_site", "documentation"
DEFAULT = "\"{{ preset != 'minimal' }}\""
DEFAULT_FROM_PREVIOUS = f"\"{{{{ previous.{ASKED} | default(preset != 'minimal') }}}}\""


def rename(template: Path) -> None:
    """Rename a question wherever it is used, and make the old answer its default."""
    for file in (template / SETTINGS, *(template / "extensions").iterdir(), *(template / "template").rglob("*.jinja")):
        text = file.read_text(encoding="utf-8")
        file.write_text(re.sub(rf"\b{ASKED}\b", RENAMED, text), encoding="utf-8")
    settings = template / SETTINGS
    text = settings.read_text(encoding="utf-8")
    assert DEFAULT in text.partition(f"\n{RENAMED}:")[2]
    settings.write_text(text.replace(DEFAULT, DEFAULT_FROM_PREVIOUS), encoding="utf-8")


def test_renamed_question_keeps_answer_without_trust(history: Path, tmp_path: Path) -> None:
    template = shutil.copytree(history, tmp_path / "template")
    rename(template)
    commit(template, "Rename", tag="999.1.0")
    commit(template, "Nothing", tag="999.2.0")
    answers = {"auth": "none", "example": False}
    project = begin(template, tmp_path / "project", {**answers, ASKED: False}, NEXT)

    update(project, "--vcs-ref", "999.1.0")
    assert recorded_answers(project).get(RENAMED) is False
    assert ASKED not in recorded_answers(project)
    assert not (project / "mkdocs.yml").exists()

    fresh = begin(template, tmp_path / "fresh", {**answers, RENAMED: False}, "999.1.0")
    never_updated = {"README.md", "CHANGELOG.md", "alembic/versions/0001_initial.py"}
    same = [
        {name: content for name, content in tree(folder).items() if name not in never_updated}
        for folder in (project, fresh)
    ]
    assert same[0] == same[1]

    commit(project, "Update")
    update(project)
    assert recorded_answers(project).get(RENAMED) is False
