"""Questions, defaults and validators of copier.yml, evaluated like Copier does."""

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
    """A question, or a computed value (`when: false`)."""

    name: str
    type: str
    default: Any
    help: str
    choices: tuple[Any, ...]  # empty for free text
    labels: tuple[str, ...]  # the texts shown for the choices
    when: str  # the condition for asking; empty means always
    validator: str  # renders to the reason if an answer is invalid
    computed: bool


@cache
def config() -> dict[str, Any]:
    """Return the parsed copier.yml."""
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
    """Return all questions and computed values, in order."""
    return tuple(_read(name, what) for name, what in config().items() if not name.startswith("_"))


def questions() -> list[Question]:
    """Return the questions, without computed values."""
    return [question for question in everything() if not question.computed]


def choices() -> dict[str, tuple[Any, ...]]:
    """Return the choices of each question that has choices."""
    return {question.name: question.choices for question in questions() if question.choices}


@cache
def conditions() -> dict[str, set[str]]:
    """Return the questions whose valid choices depend on other answers, with the names of those other questions."""
    rules = {each.name: f"{each.when} {each.validator}" for each in questions() if each.choices}
    deciding = {name: meta.find_undeclared_variables(environment().parse(rule)) for name, rule in rules.items()}
    return {name: others - {name} for name, others in deciding.items() if others - {name}}


def possible(answers: Answers, *names: str) -> bool:
    """Return whether answers are asked for and valid: those with the given names, by default all."""
    limited = [question for question in questions() if question.choices and question.name in (names or answers)]
    values = {**defaults(), **answers}
    asked = all(values[each.name] == defaults()[each.name] or _is_asked(each, values) for each in limited)
    return asked and not any(_refusal(each, values) for each in limited)


@cache
def defaults() -> dict[str, Any]:
    """Return the default answers."""
    return resolve({})


def resolve(answers: Answers) -> dict[str, Any]:
    """Return answers completed with the defaults of the other questions and all computed values, as for a new project."""
    values = {"previous": {}, **answers}
    for question in everything():
        if question.name not in values:
            values[question.name] = _default(question, values)
    return values


def asked(answers: Answers) -> list[Question]:
    """Return the questions that are asked with these answers. Some are skipped because they are irrelevant."""
    values = resolve(answers)
    return [question for question in questions() if _is_asked(question, values)]


def refusals(answers: Answers) -> dict[str, str]:
    """Return the reasons why answers are invalid, by question; empty if all are valid."""
    values = resolve(answers)
    said = {question.name: _refusal(question, values) for question in questions() if question.name in answers}
    return {name: reason for name, reason in said.items() if reason}


def _read(name: str, what: dict[str, Any]) -> Question:
    labels, values = _choices(what)
    return Question(
        name=name,
        type=what["type"],
        default=what.get("default"),
        help=" ".join(re.sub(r"\{\{.*?\}\}", "", str(what.get("help", ""))).split()),  # without what only updates show
        choices=values,
        labels=labels,
        when=what["when"] if isinstance(what.get("when"), str) else "",
        validator=what.get("validator", ""),
        computed=what.get("when") is False,
    )


def _choices(what: dict[str, Any]) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Return labels and values. Copier accepts a list, a mapping from labels to values, and values with a validator."""
    if what["type"] == "bool":
        return ("yes", "no"), BOOLEANS
    given = what.get("choices", [])
    pairs = given.items() if isinstance(given, dict) else [(value, value) for value in given]
    plain = [(str(label), value["value"] if isinstance(value, dict) else value) for label, value in pairs]
    return tuple(label for label, _ in plain), tuple(value for _, value in plain)


def _is_asked(question: Question, values: dict[str, Any]) -> bool:
    return not question.when or bool(_parsed(_compiled(question.when).render(values)))


def _refusal(question: Question, values: dict[str, Any]) -> str:
    """Return why an answer is invalid, empty if it is valid."""
    reason = _compiled(question.validator).render(values).strip()
    return "" if reason == "None" else reason


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
    """Parse YAML, once for each text. The cached result must not be changed."""
    return yaml.safe_load(text)
