"""Which projects prove the template: the one list for pytest, for people and for the workflows.

Nothing here names an answer but FULL_PRODUCT. The questions and their choices come from
copier.yml, so a new choice is in the matrix as soon as it can be given.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import covertable
import yaml

from tests.questionnaire import choices, resolve
from tests.rendering import ROOT

FULL_PRODUCT = ("database", "auth", "workers")
"""The questions that shape the code: every combination of their choices is executed, not only every pair."""

AWKWARD_NAME = "Łódź \"Café\" \\ '混沌' 🚀 # 1: & <b>"
"""What the projects of the covering array are called, since somebody will call theirs so."""


@dataclass(frozen=True)
class Variant:
    """One project: what it is called in reports, and what is answered."""

    name: str
    answers: dict[str, Any]

    def __str__(self) -> str:
        return self.name


@cache
def variants() -> tuple[Variant, ...]:
    """Return every variant once: the default, the examples, and a covering array of all choices."""
    known: dict[tuple[Any, ...], Variant] = {}
    for variant in (*named(), *map(_named, _covering_array(named()))):
        known.setdefault(key(variant), variant)
    return tuple(known.values())


def named() -> tuple[Variant, ...]:
    """Return the variants that people know by name: the default, and the examples."""
    return (Variant("default", {}), *_examples())


@cache
def everything_on() -> Variant:
    """Return the variant with the most files."""
    deciding = {question for feature in resolve({})["features"].values() for question in feature["questions"]}
    lists = [[(name, value) for value in choices()[name]] for name in sorted(deciding)]
    return Variant("everything", max(map(dict, product(*lists)), key=_files))


def _files(answers: dict[str, Any]) -> int:
    return sum(len(feature["files"]) for feature in resolve(answers)["features"].values() if feature["enabled"])


def key(variant: Variant) -> tuple[Any, ...]:
    """Return what a variant answers to each question that has choices."""
    answers = resolve(variant.answers)
    return tuple(answers[name] for name in choices())


def _examples() -> list[Variant]:
    files = sorted((ROOT / "examples").glob("*.yml"))
    return [Variant(file.stem, yaml.safe_load(file.read_text(encoding="utf-8"))) for file in files]


def _covering_array(given: Iterable[Variant]) -> list[dict[str, Any]]:
    """Cover every pair of choices, and every combination of FULL_PRODUCT; the given variants do their part.

    Not every machine has the newest Python. Its pairs are in rows of their own, so that
    a machine without it misses those and nothing else.
    """
    *older, newest = choices()["python_version"]
    main = {"fields": list(FULL_PRODUCT), "strength": len(FULL_PRODUCT)}
    presets = [dict(zip(choices(), key(variant), strict=True)) for variant in given]
    array = covertable.make({**_lists(), "python_version": older}, sub_models=[main], presets=presets)
    longest = max(len(values) for name, values in choices().items() if name != "python_version")
    rows = [{name: values[row % len(values)] for name, values in _lists().items()} for row in range(longest)]
    return [*array, *({**row, "python_version": newest} for row in rows)]


def _lists() -> dict[str, list[Any]]:
    return {name: list(values) for name, values in choices().items()}


def _named(row: dict[str, Any]) -> Variant:
    """Call a variant by its answers: a number would be another variant's after the next change."""
    return Variant(spelled(row), {"project_name": AWKWARD_NAME, **row})


def spelled(answers: dict[str, Any]) -> str:
    """Spell the answers that have choices, the main ones first."""
    order = [*FULL_PRODUCT, *(name for name in choices() if name not in FULL_PRODUCT)]
    return "-".join(_word(name, answers[name]) for name in order)


def _word(question: str, answer: Any) -> str:
    if isinstance(answer, bool):
        return question if answer else f"no_{question}"
    return str(answer)
