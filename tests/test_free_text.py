"""Free-text answers are rendered unchanged in every file format."""

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.meta import find_undeclared_variables
from markupsafe import escape

from tests.questionnaire import environment, resolve
from tests.rendering import ROOT, working_tree

# What the questionnaire accepts: no control characters, no line breaks, nothing that UTF-8 or YAML cannot represent.
CHARACTERS = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufffe\uffff")
LINE = st.text(CHARACTERS, max_size=60)
NOT_EMPTY = LINE.filter(str.strip)
TEXTS = {"project_name": NOT_EMPTY, "project_description": LINE, "user_name": NOT_EMPTY}


def free_texts(file: Path) -> set[str]:
    """Return the free-text questions that a file of the template uses."""
    return find_undeclared_variables(environment().parse(source(file))) & set(TEXTS)


def source(file: Path) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


FILES = [
    file for file in working_tree() if file.parts[0] == "template" and file.suffix == ".jinja" and free_texts(file)
]


def values(data: Any) -> Iterator[Any]:
    """Yield every value in parsed data."""
    if isinstance(data, dict | list):
        for part in data.values() if isinstance(data, dict) else data:
            yield from values(part)
    else:
        yield data


def yaml_values(text: str) -> list[str]:
    return [token.value for token in yaml.scan(text, yaml.SafeLoader) if isinstance(token, yaml.ScalarToken)]


# Formats that become HTML are escaped, so that `<` in a name does not start a tag.
ESCAPED = {".md", ".yml"}

READERS: dict[str, Callable[[str], Any]] = {
    ".toml": lambda text: list(values(tomllib.loads(text))),
    ".yaml": yaml_values,
    ".yml": yaml_values,
}


@pytest.mark.parametrize("file", FILES, ids=str)
@settings(max_examples=40, deadline=None)
@given(answers=st.fixed_dictionaries(TEXTS))
def test_free_texts_are_unchanged(file: Path, answers: dict[str, str]) -> None:
    text = environment().from_string(source(file)).render(resolve(answers))
    kind = file.with_suffix("").suffix
    found = READERS[kind](text) if kind in READERS else text
    for question in free_texts(file):
        answer = answers[question]
        assert answer in found or (
            kind in ESCAPED and {str(escape(answer)) in found, answer.replace("<", "&lt;") in found} != {False}
        )


def test_important_files_are_tested() -> None:
    names = {file.name for file in FILES}
    assert {"pyproject.toml.jinja", "about.toml.jinja", "README.md.jinja", "LICENSE.jinja", "mkdocs.yml.jinja"} <= names
