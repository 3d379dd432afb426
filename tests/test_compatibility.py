"""Whoever has a project can follow: nothing that a release had goes without a way to carry it on.

Each rule is a function from a release and what comes after it to a list of complaints that say what to write. Each has
a test that breaks it.
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
from tests.releases import CHANGELOG, RELEASES, announced, commit, git, numbers, released
from tests.rendering import ROOT, recorded_answers, working_tree
from tests.updating import NEXT, begin, tree, update

pytestmark = pytest.mark.complete

SCRIPT = "{{ _copier_conf.src_path }}/migrations/moves.py"
SETTINGS = "copier.yml"
REGISTRY = "extensions/features.yml.jinja"
TYPED = (
    *("Ada Lovelace", "Æ", "名前", 'a "quoted" name', "it's", "{{ braces }}", "# comment", "x" * 100, "x" * 200),
    *("Keeps the to-do lists of a team.", "a", "a-1", "my-service", "x" * 50, "a-b-c-d"),
    *("you@example.com", "a.b+c@sub.example.co.uk", "A_1%@x-y.io", "ada", "Ada-Lovelace", "x" * 39),
)
"""What people answer where they can answer anything."""


@dataclass(frozen=True)
class Move:
    """What a migration says: where a file was, and where it is now (empty: nowhere)."""

    version: str
    old: str
    new: str


@dataclass(frozen=True, eq=False)  # told apart, and cached, by identity
class Template:
    """What projects depend on: the settings and questions, the paths of files, the features and their files."""

    version: str
    settings: dict[str, Any]
    paths: frozenset[str]
    features: dict[str, list[str]] = field(default_factory=dict)
    conditions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, version: str, paths: Sequence[str], read: Callable[[str], str]) -> "Template":
        """Read one, whatever it is kept in."""
        answers_file = "{{ _copier_conf.answers_file }}"
        names = (
            path.removeprefix("template/").removesuffix(".jinja") for path in paths if path.startswith("template/")
        )
        # Statements of Jinja are comments of YAML; expressions become texts.
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
        """What is asked, and stored."""
        return {
            name: what for name, what in self.settings.items() if name[0] != "_" and what.get("when", True) is not False
        }

    @property
    def moves(self) -> list[Move]:
        """The moves that the migrations carry edits for."""
        return [
            Move(str(migration.get("version", "0")), *part.split(":", 1))
            for migration in self.settings.get("_migrations", [])
            if runs_the_script(migration)
            for part in migration["command"][2:]
            if not part.startswith("--")
        ]

    def has(self, path: str) -> bool:
        """Say whether there is such a file or folder."""
        return any(contains(path, known) for known in self.paths)

    def owner(self, path: str) -> str:
        """Return the feature with which a file comes and goes; empty if it is always there."""
        owners = [(len(file), name) for name, files in self.features.items() for file in files if contains(file, path)]
        return max(owners, default=(0, ""))[1]

    def is_on(self, feature: str, answers: dict[str, Any]) -> bool:
        """Say whether a feature is there with some answers; what is always there is no feature."""
        condition = self.conditions.get(feature, "true")
        return environment().from_string(f"{{{{ ({condition}) }}}}").render(answers) == "True"


def contains(folder: str, path: str) -> bool:
    """Say whether a path is another, or in it."""
    return path == folder or path.startswith(f"{folder}/")


def runs_the_script(migration: Any) -> bool:
    """Say whether a migration is a declaration as the script wants it."""
    return isinstance(migration, dict) and migration["command"][1:2] == [SCRIPT]


def choices(question: dict[str, Any]) -> list[Any]:
    """Return the answers that a question offers."""
    given = question.get("choices", [True, False] if question.get("type") == "bool" else [])
    values = given.values() if isinstance(given, dict) else given
    return [value["value"] if isinstance(value, dict) else value for value in values]


# ── the rules ─────────────────────────────────────────────────────────────────


def lost_files(old: Template, new: Template) -> Iterator[str]:
    """A file that goes from projects takes edits with it, so a migration has to carry them."""
    later = [move for move in new.moves if numbers(move.version) > numbers(old.version)]
    for path in sorted(old.paths):
        if path not in new.paths:
            change, where = "is gone", "WHERE-IT-IS-NOW"
        elif goes_somewhere(old, old.owner(path), new, new.owner(path)):
            change, where = f"goes now where {new.owner(path)} is off", ""
        else:
            continue
        if not any(contains(move.old, path) for move in later):
            yield (
                f"{path} was in {old.version} and {change}; projects have edits in it. Add to copier.yml "
                "(nothing after the colon if the template has no such file any more):\n"
                f'_migrations:\n  - version: THE-VERSION-TO-COME\n    command:\n      - "{{{{ _copier_python }}}}"\n'
                f'      - "{SCRIPT}"\n      - "--answers-file={{{{ _copier_conf.answers_file }}}}"\n'
                f'      - "{path}:{where}"'
            )


@cache
def goes_somewhere(old: Template, before: str, new: Template, now: str) -> bool:
    """Say whether a file that came with one feature is missing with another one, for answers that a project may have."""
    added = {name: what.get("default") for name, what in new.questions.items() if name not in old.questions}
    asked = {name: choices(what) for name, what in old.questions.items() if choices(what)}
    deciding = f"{old.conditions.get(before, '')} {new.conditions.get(now, '')}"
    lists = [
        [(name, value) for value in values] for name, values in asked.items() if name in re.findall(r"\w+", deciding)
    ]
    projects = ({**added, **dict(row)} for row in product(*lists))
    return any(old.is_on(before, project) and not new.is_on(now, project) for project in projects)


def wrong_migrations(new: Template, versions: Sequence[str]) -> Iterator[str]:
    """A migration runs our script, once, and knows where files are now."""
    for migration in new.settings.get("_migrations", []):
        if not runs_the_script(migration):
            yield f"{migration}: only migrations/moves.py may run; copy its declaration from the script"
        elif str(migration.get("version")) not in versions:
            yield (
                f"{migration}: without the version of a release, each update asks for trust; "
                f"say `version:` and one of {', '.join(versions)}, which CHANGELOG.md speaks of"
            )
    for move in new.moves:
        if move.new and not new.has(move.new):
            yield (
                f"{move.old}:{move.new}: there is no {move.new}. If it has moved again, write "
                f"{move.old}:WHERE-IT-IS-NOW here, and {move.new}:WHERE-IT-IS-NOW for the version to come"
            )


def lost_questions(old: Template, new: Template) -> Iterator[str]:
    """An answer that was given counts; where it no longer can, a new question begins with it."""
    defaults = " ".join(str(what.get("default")) for name, what in new.settings.items() if name[0] != "_")
    for name, question in old.questions.items():
        now = new.questions.get(name, {})
        lost = [choice for choice in choices(question) if choice not in choices(now)]
        if not now:
            change = "is not asked any more"
        elif now["type"] != question["type"]:
            change = f"was of type {question['type']} and is of type {now['type']}; keep that, and ask under a new name"
        elif lost and choices(now):
            change = f"had the choice {lost[0]!r}; keep it, or ask under a new name"
        else:
            continue
        if now or not re.search(rf"\bprevious\.{name}\b", defaults):
            yield (
                f"{name}: the question of {old.version} {change}. Projects have an answer: the question that takes its "
                "place begins with it. Write in copier.yml, and the values of before into those of today:\n"
                f'NEW_NAME:\n  default: "{{{{ previous.{name} | default(THE-DEFAULT-FOR-NEW-PROJECTS) }}}}"'
            )


def stricter_questions(old: Template, new: Template) -> Iterator[str]:
    """What a validator took, it takes."""
    lenient = environment().overlay(undefined=ChainableUndefined)
    known = resolve({})

    def refuses(question: dict[str, Any], name: str, text: str) -> str:
        source = lenient.from_string(question.get("validator", ""))
        return source.render({**known, name: text}).strip()

    for name in old.questions.keys() & new.questions.keys():
        before, now = old.questions[name], new.questions[name]
        for text in TYPED:
            if before.get("validator") and not refuses(before, name, text) and (why := refuses(now, name, text)):
                yield f"{name}: {old.version} took {text!r}, so projects have it. Now: {why}. Let the validator take it"


def lost_promises(old: Template, new: Template) -> Iterator[str]:
    """What was the user's own, and what could be switched on."""
    for path in old.settings["_skip_if_exists"]:
        if path not in new.settings["_skip_if_exists"]:
            yield f"{path}: {old.version} never touched it in an update; put it back into _skip_if_exists of copier.yml"
    for feature in old.features.keys() - new.features.keys():
        yield f"{feature}: {old.version} had this feature; put it back into {REGISTRY}"


RULES = (lost_files, lost_questions, stricter_questions, lost_promises)


# ── this template ─────────────────────────────────────────────────────────────


def unfinished() -> list[str]:
    """Return the version that CHANGELOG.md has no date for, if there is one."""
    return re.findall(r"^## (\d+\.\d+\.\d+) \(unreleased\)$", CHANGELOG.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def new() -> Template:
    """The working tree."""
    return Template.of(
        NEXT,
        [file.as_posix() for file in working_tree()],
        lambda path: (ROOT / path).read_text(encoding="utf-8"),
    )


@pytest.fixture(scope="module")
def recorded(history: Path) -> Callable[[str], Template]:
    """What a release was."""

    def read(version: str) -> Template:
        paths = git(history, "ls-tree", "-r", "-z", "--name-only", version).split("\0")
        return Template.of(version, paths, lambda path: git(history, "show", f"{version}:{path}"))

    return read


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("version", released())
def test_projects_of_a_release_can_follow(
    version: str, rule: Callable[..., Iterator[str]], recorded: Callable[[str], Template], new: Template
) -> None:
    assert "\n\n".join(rule(recorded(version), new)) == ""


@pytest.mark.parametrize("version", released())
def test_the_rules_see_what_is_there(version: str, recorded: Callable[[str], Template], new: Template) -> None:
    old = recorded(version)
    assert old.paths >= {"app/main.py", "pyproject.toml", ".copier-answers.yml", "app/security/principal.py"}
    assert "auth" in old.questions
    assert old.owner("app/security/principal.py") == "auth"
    (complaint,) = lost_files(old, replace(new, paths=new.paths - {"app/main.py"}))
    assert complaint.startswith("app/main.py was in")


def test_migrations_carry_moves_of_a_release(new: Template) -> None:
    assert "\n\n".join(wrong_migrations(new, [*released(), *unfinished()])) == ""


def test_nothing_but_migrations_needs_trust(new: Template) -> None:
    assert not {"_tasks", "_jinja_extensions"} & set(new.settings)


def test_every_announced_release_is_recorded() -> None:
    assert sorted(announced(), key=numbers) == released(), "a heading in CHANGELOG.md with a date, a file in releases/"
    assert len(unfinished()) <= 1


def test_recorded_releases_are_sound_and_stand_on_each_other(history: Path) -> None:
    """Each names the one before it by its hash, so none but the newest can be changed unnoticed."""
    git(history, "fsck", "--strict", "--no-dangling")
    for before, version in zip(["", *released()], released(), strict=False):
        git(history, "bundle", "verify", "--quiet", str(RELEASES / f"{version}.bundle"))
        parent = git(history, "rev-list", "--parents", "--max-count=1", version).partition(" ")[2]
        assert parent == (git(history, "rev-parse", before) if before else "")
        assert git(history, "log", "-1", "--format=%cs", version) == announced()[version]


# ── the rules, broken ─────────────────────────────────────────────────────────

OLD = Template(
    version="1.0.0",
    settings={
        "_skip_if_exists": [".env"],
        "colour": {"type": "str", "choices": {"Red": "red", "Blue": "blue"}, "default": "red"},
        "name": {"type": "str", "default": "Ada", "validator": "{{ 'Too long.' if name | length > 200 }}"},
        "computed": {"type": "str", "default": "x", "when": False},
    },
    paths=frozenset({"app/one.py", "app/two.py", "docs/one.md"}),
    features={"docs": ["docs"]},
)


def changed(**settings: Any) -> Template:
    """Return the template with other settings; those that are None are gone."""
    kept = {name: value for name, value in {**OLD.settings, **settings}.items() if value is not None}
    return replace(OLD, version="2.0.0", settings=kept)


def migration(version: str, *moves: str) -> dict[str, Any]:
    """Return a declaration."""
    start = ["{{ _copier_python }}", SCRIPT, "--answers-file={{ _copier_conf.answers_file }}"]
    return {"version": version, "command": [*start, *moves]}


def test_what_stays_needs_nothing() -> None:
    assert [complaint for rule in RULES for complaint in rule(OLD, changed(computed=None))] == []


@pytest.mark.parametrize(
    ("moves", "lost"),
    [
        ([], ["app/one.py", "app/two.py"]),
        ([migration("1.0.0", "app:core")], ["app/one.py", "app/two.py"]),  # projects of 1.0.0 have it behind them
        ([migration("2.0.0", "app/one.py:core/one.py")], ["app/two.py"]),
        ([migration("2.0.0", "app/one.py:core/one.py", "app/two.py:")], []),
        ([migration("2.0.0", "app:core")], []),
    ],
)
def test_a_file_that_is_gone_must_have_moved(moves: list[Any], lost: list[str]) -> None:
    new = replace(changed(_migrations=moves), paths=frozenset({"core/one.py", "docs/one.md"}))
    complaints = list(lost_files(OLD, new))
    assert [complaint.partition(" ")[0] for complaint in complaints] == lost
    assert all('      - "app/' in complaint and "WHERE-IT-IS-NOW" in complaint for complaint in complaints)


def test_a_file_that_a_feature_takes_over_is_gone_where_it_is_off() -> None:
    new = replace(changed(), features={"docs": ["docs"], "two": ["app/two.py"]}, conditions={"two": "false"})
    (complaint,) = lost_files(OLD, new)
    assert complaint.startswith("app/two.py was in 1.0.0 and goes now where two is off")
    assert '"app/two.py:"' in complaint
    assert list(lost_files(OLD, replace(changed(_migrations=[migration("2.0.0", "app/two.py:")]), features={}))) == []


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        (migration("2.0.0", "app/gone.py:app/three.py"), "write app/gone.py:WHERE-IT-IS-NOW here"),
        (migration("3.0.0", "app/gone.py:app/one.py"), "one of 1.0.0, 2.0.0"),
        ({"command": migration("", "a:")["command"]}, "each update asks for trust"),
        ("rm -rf app", "only migrations/moves.py may run"),
        ({"version": "2.0.0", "command": "rm -rf app"}, "only migrations/moves.py may run"),
    ],
)
def test_a_migration_must_be_right(declared: Any, text: str) -> None:
    assert text in "\n".join(wrong_migrations(changed(_migrations=[declared]), ["1.0.0", "2.0.0"]))


@pytest.mark.parametrize(
    ("settings", "texts"),
    [
        ({"colour": None}, ["colour: the question of 1.0.0 is not asked any more", "{{ previous.colour | default("]),
        (
            {"colour": {"type": "int", "default": 1}},
            ["colour: the question of 1.0.0 was of type str and is of type int"],
        ),
        ({"colour": {"type": "str", "choices": ["blue"]}}, ["had the choice 'red'; keep it, or ask under a new name"]),
        ({"colour": None, "paint": {"type": "str", "default": "{{ previous.colour | default('red') }}"}}, []),
        ({"colour": {**OLD.settings["colour"], "choices": ["red", "blue", "green"]}}, []),
        ({"colour": {"type": "str", "default": "red"}}, []),
        ({"colour": {**OLD.settings["colour"], "when": False}}, ["is not asked any more"]),
    ],
)
def test_an_answer_must_be_carried_on(settings: dict[str, Any], texts: list[str]) -> None:
    complaints = "\n".join(lost_questions(OLD, changed(**settings)))
    assert bool(complaints) == bool(texts)
    assert all(text in complaints for text in texts)


def test_an_answer_must_stay_valid() -> None:
    strict = {**OLD.settings["name"], "validator": "{{ 'Letters only' if not name.isalpha() }}"}
    complaints = list(stricter_questions(OLD, changed(name=strict)))
    assert (
        "name: 1.0.0 took 'Ada Lovelace', so projects have it. Now: Letters only. Let the validator take it"
        in complaints
    )


def test_promises_must_be_kept() -> None:
    assert list(lost_promises(OLD, replace(changed(_skip_if_exists=[]), features={}))) == [
        ".env: 1.0.0 never touched it in an update; put it back into _skip_if_exists of copier.yml",
        f"docs: 1.0.0 had this feature; put it back into {REGISTRY}",
    ]


# ── a renamed question ────────────────────────────────────────────────────────

ASKED, RENAMED = "docs_site", "documentation"
DEFAULT = "\"{{ preset != 'minimal' }}\""
CARRIED = f"\"{{{{ previous.{ASKED} | default(preset != 'minimal') }}}}\""


def rename(template: Path) -> None:
    """Give a question another name wherever it is used, and let it begin with the old answer."""
    for file in (template / SETTINGS, *(template / "extensions").iterdir(), *(template / "template").rglob("*.jinja")):
        text = file.read_text(encoding="utf-8")
        file.write_text(re.sub(rf"\b{ASKED}\b", RENAMED, text), encoding="utf-8")
    settings = template / SETTINGS
    text = settings.read_text(encoding="utf-8")
    assert DEFAULT in text.partition(f"\n{RENAMED}:")[2]
    settings.write_text(text.replace(DEFAULT, CARRIED), encoding="utf-8")


def test_a_renamed_question_carries_its_answer_without_trust(history: Path, tmp_path: Path) -> None:
    template = shutil.copytree(history, tmp_path / "template")
    rename(template)
    commit(template, "Rename", tag="999.1.0")
    commit(template, "Nothing", tag="999.2.0")
    answers = {"auth": "none", "example": False}
    project = begin(template, tmp_path / "project", {**answers, ASKED: False}, released()[0])

    update(project, "--vcs-ref", "999.1.0")
    assert recorded_answers(project).get(RENAMED) is False
    assert ASKED not in recorded_answers(project)
    assert not (project / "mkdocs.yml").exists()

    fresh = begin(template, tmp_path / "fresh", {**answers, RENAMED: False}, "999.1.0")
    yours = {"README.md", "CHANGELOG.md", "alembic/versions/0001_initial.py"}
    same = [
        {name: content for name, content in tree(folder).items() if name not in yours} for folder in (project, fresh)
    ]
    assert same[0] == same[1]

    commit(project, "Update")
    update(project)
    assert recorded_answers(project).get(RENAMED) is False
