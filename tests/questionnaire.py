"""What copier.yml asks, and what follows from the answers, read the way Copier reads it."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml
from jinja2 import FileSystemLoader, StrictUndefined, Template, meta
from jinja2.sandbox import SandboxedEnvironment
from jinja2_ansible_filters import AnsibleCoreFiltersExtension

from tests.rendering import ROOT, Answers

BOOLEANS = (True, False)


@dataclass(frozen=True)
class Question:
    """One question, or one computed value (`when: false`)."""

    name: str
    type: str
    default: Any
    help: str
    choices: tuple[Any, ...]  # none: free text
    labels: tuple[str, ...]  # what a person reads instead of the choices
    when: str  # asked if this is true; nothing: always
    computed: bool


@cache
def config() -> dict[str, Any]:
    """Return copier.yml."""
    return yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))


@cache
def environment() -> SandboxedEnvironment:
    """Return a Jinja environment like the one Copier renders this template with."""
    options = {**config()["_envops"], "undefined": StrictUndefined}
    return SandboxedEnvironment(
        loader=FileSystemLoader(ROOT), extensions=[AnsibleCoreFiltersExtension], autoescape=False, **options
    )


@cache
def everything() -> tuple[Question, ...]:
    """Return the questions and the computed values, in their order."""
    return tuple(_read(name, what) for name, what in config().items() if not name.startswith("_"))


def questions() -> list[Question]:
    """Return what a person is asked."""
    return [question for question in everything() if not question.computed]


def choices() -> dict[str, tuple[Any, ...]]:
    """Return the possible answers of each question that has a limited number of them."""
    return {question.name: question.choices for question in questions() if question.choices}


def conditions() -> dict[str, set[str]]:
    """Return the questions that are not always asked, with those that decide about it."""
    asked = [question for question in questions() if question.when]
    return {each.name: meta.find_undeclared_variables(environment().parse(each.when)) for each in asked}


def possible(answers: Answers, *names: str) -> bool:
    """Tell whether nothing is answered that is not asked, for some questions or for all of them."""
    asked = [question for question in questions() if question.when and question.name in (names or answers)]
    values = {**defaults(), **answers}
    return all(values[each.name] == defaults()[each.name] or _is_true(each.when, values) for each in asked)


@cache
def defaults() -> dict[str, Any]:
    """Return what is answered by whoever answers nothing."""
    return resolve({})


def resolve(answers: Answers) -> dict[str, Any]:
    """Add to some answers the defaults of the others, and everything computed, as for a new project."""
    values = {"previous": {}, **answers}
    for question in everything():
        if question.name not in values:
            values[question.name] = _default(question, values)
    return values


def asked(answers: Answers) -> list[Question]:
    """Return what a person is asked who gives these answers: some questions make no sense with some others."""
    values = resolve(answers)
    return [question for question in questions() if not question.when or _is_true(question.when, values)]


def refusals(answers: Answers) -> dict[str, str]:
    """Return why some answers cannot be given together, by question; nothing, if they can."""
    values = resolve(answers)
    said = {name: _compiled(config()[name].get("validator", "")).render(values).strip() for name in answers}
    return {name: reason for name, reason in said.items() if reason not in {"", "None"}}


def _read(name: str, what: dict[str, Any]) -> Question:
    labels, values = _choices(what)
    return Question(
        name=name,
        type=what["type"],
        default=what.get("default"),
        help=" ".join(re.sub(r"\{\{.*?\}\}", "", str(what.get("help", ""))).split()),  # what it says in a new project
        choices=values,
        labels=labels,
        when=what["when"] if isinstance(what.get("when"), str) else "",
        computed=what.get("when") is False,
    )


def _choices(what: dict[str, Any]) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Return labels and values; Copier takes a list, a mapping from labels, and values with a validator."""
    if what["type"] == "bool":
        return ("yes", "no"), BOOLEANS
    given = what.get("choices", [])
    pairs = given.items() if isinstance(given, dict) else [(value, value) for value in given]
    plain = [(str(label), value["value"] if isinstance(value, dict) else value) for label, value in pairs]
    return tuple(label for label, _ in plain), tuple(value for _, value in plain)


def _is_true(condition: str, values: dict[str, Any]) -> bool:
    return bool(_parsed(_compiled(condition).render(values)))


@cache
def _compiled(source: str) -> Template:
    return environment().from_string(source)


def _default(question: Question, values: dict[str, Any]) -> Any:
    if not isinstance(question.default, str):
        return question.default
    text = _compiled(question.default).render(values)
    return text if question.type == "str" else _parsed(text)


@cache
def _parsed(text: str) -> Any:
    """Read YAML, and the same text once: nobody changes what comes of it."""
    return yaml.safe_load(text)
