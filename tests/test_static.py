"""Static checks of the template: syntax, feature registry, questions, and amount of Jinja."""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import TemplateSyntaxError
from jinja2.meta import find_undeclared_variables

from tests.matrix.variants import variants
from tests.questionnaire import choices, config, environment, everything, possible, questions, resolve
from tests.rendering import ROOT, working_tree

TEMPLATE = Path("template")
BUDGET_FILES = 3
BUDGET_LINES = 25
HELP_WIDTH = 105
NOT_RENDERED = {TEMPLATE / ".gitignore.jinja"}  # under its final name, it would apply to this repository

FILES = [file for file in working_tree() if file.is_relative_to(TEMPLATE)]
JINJA = [file for file in working_tree() if ".jinja" in file.suffixes]
NAMES = {question.name for question in everything()} | {"_", "_external_data"}
# Variables that an included file gets from the file that includes it.
INCLUDE_PARAMETERS = {"extensions/registry.yml.jinja": {"given"}, "extensions/changes.jinja": {"since"}}


def read(file: Path) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def undeclared_names(source: str, known: set[str]) -> set[str]:
    """Compile Jinja, and return all undeclared names, including those in branches that are not rendered."""
    environment().compile(source)
    names = find_undeclared_variables(environment().parse(source))
    return {name for name in names - known if not name.startswith("_copier_")}


def rendered_path(file: Path) -> str:
    """Return the path of a rendered file, in the notation of the registry."""
    path = file.relative_to(TEMPLATE).as_posix().removesuffix(".jinja")
    return "/" + path.replace("{{ _copier_conf.answers_file }}", ".copier-answers.yml")


def strings(value: Any) -> Iterator[str]:
    """Yield every string in a value of copier.yml."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings(part)


@pytest.mark.parametrize("file", JINJA, ids=str)
def test_jinja_files_parse_and_use_known_names(file: Path) -> None:
    assert undeclared_names(read(file), NAMES | INCLUDE_PARAMETERS.get(str(file), set())) == set()


def test_only_jinja_files_contain_jinja() -> None:
    for file in FILES:
        if file.suffix != ".jinja":
            unrendered = re.search(r"# \{%|\{\{ *(?:" + "|".join(NAMES) + r")\b", read(file))
            assert not unrendered, f"{file}: {unrendered and unrendered[0]} would not be rendered"
        elif file not in NOT_RENDERED:
            assert re.search(r"\{\{|# \{%", read(file)), f"{file} does not need the suffix .jinja"


def test_file_names_parse_and_are_valid_on_windows() -> None:
    for file in FILES:
        assert undeclared_names(str(file), NAMES) == set(), file
        assert not re.search(r'["|<>?*:\\]', str(file)), f"{file} is invalid on Windows"


def test_questions_use_earlier_answers_only() -> None:
    known = {"_external_data"}
    for question in everything():
        for source in strings({**config()[question.name], "validator": ""}):
            assert undeclared_names(source, known) == set(), question.name
        known.add(question.name)
        assert undeclared_names(config()[question.name].get("validator", ""), known) == set(), question.name


def test_settings_and_messages_use_known_names() -> None:
    for name, value in config().items():
        if name.startswith("_") and name != "_envops":
            for source in strings(value):
                assert undeclared_names(source, NAMES) == set(), name


def test_files_have_at_most_one_owner() -> None:
    """If two features list a file, one by its folder, the other feature must imply the one with the folder."""
    owned = {path: name for name, feature in features().items() for path in feature["files"]}
    assert len(owned) == sum(len(feature["files"]) for feature in features().values()), "a path is listed twice"
    for file in map(rendered_path, FILES):
        paths = sorted((path for path in owned if file == path or file.startswith(f"{path}/")), key=len)
        for folder, inner in pairwise(owned[path] for path in paths):
            assert is_enabled_with(folder, inner), f"{file} belongs to {inner}, and to {folder}, which may be disabled"


def is_enabled_with(folder: str, inner: str) -> bool:
    """Return whether one feature is enabled whenever another one is."""
    return all(
        features_then[folder]["enabled"]
        for features_then in features_for_all_answers()
        if features_then[inner]["enabled"]
    )


@cache
def features_for_all_answers() -> list[dict[str, Any]]:
    lists = [
        [(name, value) for value in answers] for name, answers in choices().items() if name in deciding_questions()
    ]
    return [resolve(row)["features"] for row in filter(possible, map(dict, product(*lists)))]


def deciding_questions() -> set[str]:
    return {question for feature in features().values() for question in feature["questions"]}


def test_listed_paths_exist() -> None:
    paths = {rendered_path(file) for file in FILES}
    folders = {str(parent) for path in paths for parent in Path(path).parents}
    for name, feature in features().items():
        assert set(feature["files"]) <= paths | folders, name


def test_listed_paths_have_no_trailing_slash() -> None:
    assert not [path for feature in features().values() for path in feature["files"] if path.endswith("/")]


def test_files_that_updates_leave_alone_are_the_intended_ones() -> None:
    """Copier matches a pattern without a slash in every folder: a `docs/README.md` would never be updated."""
    paths = {rendered_path(file).removeprefix("/") for file in FILES}
    patterns = config()["_skip_if_exists"]
    assert {path for path in paths if any(Path(path).match(pattern) for pattern in patterns)} == {
        *("README.md", "CHANGELOG.md", "ROADMAP.md"),
        *(path for path in paths if path.startswith("alembic/versions/")),
    }


def test_no_folder_is_empty() -> None:
    """A folder of which every file is optional must itself be listed, or it is rendered empty."""
    for name, feature in features().items():
        others = {file for file in map(rendered_path, FILES) if not is_owned(file, feature["files"])}
        kept = {parent for file in others for parent in Path(file).parents}
        for file in map(rendered_path, FILES):
            if is_owned(file, feature["files"]):
                empty_folders = [parent for parent in Path(file).parents if parent not in kept]
                assert all(is_owned(f"{parent}/", feature["files"]) for parent in empty_folders), f"{name}: {file}"


def test_features_list_their_questions() -> None:
    deciding: dict[str, set[str]] = {name: set() for name in features()}
    service_answers = {"database": "postgres", "workers": True, "kafka": True, "topology": "services"}
    for others in ({}, {"auth": "none"}, {"database": "postgres"}, {"workers": True}, {"kafka": True}, service_answers):
        for question, answers in choices().items():
            seen = [resolve({**others, question: answer})["features"] for answer in answers]
            for name in features():
                if len({features_then[name]["enabled"] for features_then in seen}) > 1:
                    deciding[name].add(question)
    for name, feature in features().items():
        assert deciding[name] - {"preset"} == set(feature["questions"]), name


def test_features_list_their_tables() -> None:
    for name, feature in features().items():
        sources = "".join(read(file) for file in FILES if is_owned(rendered_path(file), feature["files"]))
        assert re.findall(r'__tablename__ = "(\w+)"', sources) == feature["tables"], name


def test_registry_accepts_answers_of_older_versions() -> None:
    used = find_undeclared_variables(environment().parse(read(Path("extensions/features.yml.jinja"))))
    for given in ({}, {"auth": "jwt"}, {name: answers[-1] for name, answers in choices().items()}):
        text = environment().from_string(read(Path("extensions/registry.yml.jinja"))).render(given=given)
        read_back = yaml.safe_load(text)
        asked = {name: value for name, value in given.items() if name in used}
        for name, feature in read_back.items():
            if set(feature["questions"]) <= set(asked):
                assert feature["enabled"] == resolve(asked)["features"][name]["enabled"], name
            elif not set(feature["questions"]) & set(asked):
                assert not feature["enabled"], name


def is_owned(path: str, listed: list[str]) -> bool:
    return any(path == entry or path.startswith(f"{entry}/") for entry in listed)


def features() -> dict[str, Any]:
    return resolve({})["features"]


def test_variants_enable_and_disable_every_feature() -> None:
    seen = {
        (name, features_then["enabled"])
        for v in variants()
        for name, features_then in resolve(v.answers)["features"].items()
    }
    assert seen == {(name, enabled) for name in features() for enabled in (True, False)}


def test_python_contains_little_jinja() -> None:
    """Nearly all code is plain Python, so that its tools can check the template itself."""
    python = [file for file in FILES if file.name.endswith(".py.jinja")]
    lines = {file: sum("# {%" in line for line in read(file).splitlines()) for file in python}
    assert sum(lines.values()) <= BUDGET_LINES, lines
    assert sum(map(bool, lines.values())) <= BUDGET_FILES, lines


@pytest.mark.parametrize("file", [file for file in JINJA if file.name.endswith(".py.jinja")], ids=str)
def test_python_templates_are_valid_python(file: Path) -> None:
    """With any name in place of an expression."""
    ast.parse(re.sub(r"\{\{.*?\}\}", "name", read(file)))


def test_reserved_names_include_standard_library() -> None:
    public = {name for name in sys.stdlib_module_names if not name.startswith("_")}
    assert public <= set(resolve({})["reserved_names"])


def test_questions_have_default_and_explanation() -> None:
    for question in questions():
        assert question.default is not None, question.name
        assert re.match(r"[A-Z].*\?(?: .*\.)?$", question.help), f"{question.name}: ask a question, then explain it"


def test_help_fits_terminal_width() -> None:
    """Copier's prompts do not wrap. In updates, the help also lists what another answer removes."""
    values = resolve({}) | {"previous": resolve({})}
    removed_by_answer = environment().get_template("extensions/removed_by_answer.yml.jinja").render(values)
    for question in questions():
        shown = (
            environment()
            .from_string(config()[question.name]["help"])
            .render(removed_by_answer=yaml.safe_load(removed_by_answer))
        )
        assert max(map(len, shown.splitlines())) < HELP_WIDTH, question.name


def test_invalid_jinja_is_detected() -> None:
    with pytest.raises(TemplateSyntaxError):
        undeclared_names("# {% if database", NAMES)
    assert undeclared_names("# {% if False %}{{ databse }}# {% endif %}", NAMES) == {"databse"}
