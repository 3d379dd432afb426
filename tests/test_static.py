"""The template itself, without rendering a project: it parses, it is complete, and it stays readable."""

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
BUDGET_FILES = 5  # of app/; beside them, the first migration
BUDGET_LINES = 62  # a third of them in api.py: what teams have changed beside must merge with the next version
HELP_WIDTH = 105
META = {TEMPLATE / ".gitignore.jinja"}  # under its own name it would govern this repository

FILES = [file for file in working_tree() if file.is_relative_to(TEMPLATE)]
JINJA = [file for file in working_tree() if ".jinja" in file.suffixes]
NAMES = {question.name for question in everything()} | {"_", "_external_data"}
# What an included file is given by the one that includes it.
PARAMETERS = {"extensions/registry_of.yml.jinja": {"given"}, "extensions/changes.jinja": {"since"}}


def read(file: Path) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def undeclared(source: str, known: set[str]) -> set[str]:
    """Parse and compile Jinja; return the names that nothing would give a value, in whichever branch they stand."""
    environment().compile(source)
    names = find_undeclared_variables(environment().parse(source))
    return {name for name in names - known if not name.startswith("_copier_")}


def rendered_path(file: Path) -> str:
    """Return where a file of the template ends up, as the registry writes it."""
    path = file.relative_to(TEMPLATE).as_posix().removesuffix(".jinja")
    return "/" + path.replace("{{ _copier_conf.answers_file }}", ".copier-answers.yml")


def texts(value: Any) -> Iterator[str]:
    """Yield every text in a value of copier.yml."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts(part)


@pytest.mark.parametrize("file", JINJA, ids=str)
def test_bodies_parse_and_use_known_names(file: Path) -> None:
    assert undeclared(read(file), NAMES | PARAMETERS.get(str(file), set())) == set()


def test_jinja_is_where_the_name_says_so() -> None:
    for file in FILES:
        if file.suffix != ".jinja":
            unrendered = re.search(r"# \{%|\{\{ *(?:" + "|".join(NAMES) + r")\b", read(file))
            assert not unrendered, f"{file}: {unrendered and unrendered[0]} would stay as it is"
        elif file not in META:
            assert re.search(r"\{\{|# \{%", read(file)), f"{file} needs no .jinja"


def test_file_names_parse_and_work_everywhere() -> None:
    for file in FILES:
        assert undeclared(str(file), NAMES) == set(), file
        assert not re.search(r'["|<>?*:\\]', str(file)), f"Windows refuses {file}"


def test_questions_use_earlier_answers_only() -> None:
    known = {"_external_data"}
    for question in everything():
        for source in texts({**config()[question.name], "validator": ""}):
            assert undeclared(source, known) == set(), question.name
        known.add(question.name)
        assert undeclared(config()[question.name].get("validator", ""), known) == set(), question.name


def test_settings_and_messages_use_known_names() -> None:
    for name, value in config().items():
        if name.startswith("_") and name != "_envops":
            for source in texts(value):
                assert undeclared(source, NAMES) == set(), name


def test_every_file_has_one_owner() -> None:
    """Of two features that list it, one by its folder, the folder's is there whenever the other one is."""
    owned = {path: name for name, feature in features().items() for path in feature["files"]}
    assert len(owned) == sum(len(feature["files"]) for feature in features().values()), "a path is listed twice"
    for file in map(rendered_path, FILES):
        paths = sorted((path for path in owned if file == path or file.startswith(f"{path}/")), key=len)
        for folder, inner in pairwise(owned[path] for path in paths):
            assert enabled_with(folder, inner), f"{file} belongs to {inner}, and to {folder}, which may be off then"


def enabled_with(folder: str, inner: str) -> bool:
    """Tell whether one feature is on whenever another one is."""
    return all(on[folder]["enabled"] for on in features_of_all_answers() if on[inner]["enabled"])


@cache
def features_of_all_answers() -> list[dict[str, Any]]:
    lists = [
        [(name, value) for value in answers] for name, answers in choices().items() if name in deciding_questions()
    ]
    return [resolve(row)["features"] for row in filter(possible, map(dict, product(*lists)))]


def deciding_questions() -> set[str]:
    return {question for feature in features().values() for question in feature["questions"]}


def test_every_listed_path_exists() -> None:
    paths = {rendered_path(file) for file in FILES}
    folders = {str(parent) for path in paths for parent in Path(path).parents}
    for name, feature in features().items():
        assert set(feature["files"]) <= paths | folders, name


def test_listed_paths_have_no_slash_at_the_end() -> None:
    assert not [path for feature in features().values() for path in feature["files"] if path.endswith("/")]


def test_no_folder_is_left_empty() -> None:
    """A folder of which every file is optional must itself be listed, or it is rendered empty."""
    for name, feature in features().items():
        others = {file for file in map(rendered_path, FILES) if not is_owned(file, feature["files"])}
        kept = {parent for file in others for parent in Path(file).parents}
        for file in map(rendered_path, FILES):
            if is_owned(file, feature["files"]):
                lost = [parent for parent in Path(file).parents if parent not in kept]
                assert all(is_owned(f"{parent}/", feature["files"]) for parent in lost), f"{name}: {file}"


def test_every_feature_names_the_questions_that_decide_about_it() -> None:
    deciding: dict[str, set[str]] = {name: set() for name in features()}
    services = {"database": "postgres", "workers": True, "kafka": True, "topology": "services"}
    for others in ({}, {"auth": "none"}, {"database": "postgres"}, {"workers": True}, {"kafka": True}, services):
        for question, answers in choices().items():
            seen = [resolve({**others, question: answer})["features"] for answer in answers]
            for name in features():
                if len({features_then[name]["enabled"] for features_then in seen}) > 1:
                    deciding[name].add(question)
    for name, feature in features().items():
        assert deciding[name] - {"preset"} == set(feature["questions"]), name


def test_every_feature_names_its_tables() -> None:
    for name, feature in features().items():
        sources = "".join(read(file) for file in FILES if is_owned(rendered_path(file), feature["files"]))
        assert re.findall(r'__tablename__ = "(\w+)"', sources) == feature["tables"], name


def test_the_registry_can_be_read_with_the_answers_of_older_versions() -> None:
    used = find_undeclared_variables(environment().parse(read(Path("extensions/features.yml.jinja"))))
    for given in ({}, {"auth": "jwt"}, {name: answers[-1] for name, answers in choices().items()}):
        text = environment().from_string(read(Path("extensions/registry_of.yml.jinja"))).render(given=given)
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


def test_every_feature_is_on_and_off_in_some_variant() -> None:
    seen = {(name, on["enabled"]) for v in variants() for name, on in resolve(v.answers)["features"].items()}
    assert seen == {(name, enabled) for name in features() for enabled in (True, False)}


def test_python_stays_python() -> None:
    """The budget: composing happens in Python, so that its tools can read nearly all of it."""
    sources = [file for file in FILES if file.name.endswith(".py.jinja") and file.parts[1] in {"app", "alembic"}]
    assert len([file for file in sources if file.parts[1] == "app"]) <= BUDGET_FILES, sources
    assert [file.name for file in sources if file.parts[1] == "alembic"] == ["0001_initial.py.jinja"]
    assert sum(read(file).count("# {%") for file in sources) <= BUDGET_LINES, sources


@pytest.mark.parametrize("file", [file for file in JINJA if file.name.endswith(".py.jinja")], ids=str)
def test_python_sources_parse_before_they_are_rendered(file: Path) -> None:
    ast.parse(read(file))


def test_reserved_names_are_the_standard_library() -> None:
    public = {name for name in sys.stdlib_module_names if not name.startswith("_")}
    assert public <= set(resolve({})["reserved_names"])


def test_every_question_has_a_default_and_says_what_it_brings() -> None:
    for question in questions():
        assert question.default is not None, question.name
        assert re.match(r"[A-Z].*\?(?: .*\.)?$", question.help), f"{question.name}: ask, then say what it brings"


def test_help_fits_on_the_screen() -> None:
    """Copier's prompts do not wrap. In a project, the help also says what goes with another answer."""
    values = resolve({}) | {"previous": resolve({})}
    leaving = environment().get_template("extensions/leaving.yml.jinja").render(values)
    for question in questions():
        shown = environment().from_string(config()[question.name]["help"]).render(leaving=yaml.safe_load(leaving))
        assert max(map(len, shown.splitlines())) < HELP_WIDTH, question.name


def test_broken_jinja_is_noticed() -> None:
    with pytest.raises(TemplateSyntaxError):
        undeclared("# {% if database", NAMES)
    assert undeclared("# {% if False %}{{ databse }}# {% endif %}", NAMES) == {"databse"}
