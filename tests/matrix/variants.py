"""Which projects prove the template: the one list for pytest, for people and for the workflows.

Nothing here names an answer but FULL_PRODUCT. The questions and their choices come from
copier.yml, so a new choice is in the matrix as soon as it can be given.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product
from typing import Any

import covertable
import yaml

from tests.questionnaire import choices, conditions, defaults, possible, resolve
from tests.rendering import ROOT

FULL_PRODUCT = ("database", "auth", "workers", "kafka", "topology")
"""The questions that shape the code: every combination of their choices that can be given is executed."""

WORDS = ("preset", "license")
"""The questions that reach no code, only the defaults of others and what is said: their pairs may be in any variant."""

COUNTED_ON = "3.14"
"""The Python version of the variants that count lines, except the default: the first on which counting is almost free."""

AWKWARD_NAME = "Łódź \"Café\" \\ '混沌' 🚀 # 1: & <b>"
"""What the projects of the covering array are called, since somebody will call theirs so."""


@dataclass(frozen=True)
class Variant:
    """One project: what it is called in reports, and what is answered."""

    name: str
    answers: dict[str, Any]
    # Whether its tests count lines and send many requests, its site is built, and it serves as in production.
    # Every pair of choices that reach the code is in a variant that does; the pairs with a Python version in any.
    in_full: bool = True

    def __str__(self) -> str:
        return self.name


@cache
def variants() -> tuple[Variant, ...]:
    """Return every variant once: the default, the examples, two covering arrays, and the rest of the combinations.

    The first array has every pair of choices that reach the code and counts lines on one version of Python. The second
    has the remaining pairs, above all those with the other versions.
    """
    rows = [answered(variant) for variant in named()]
    code = {name: values for name, values in choices().items() if name not in (*WORDS, "python_version")}
    counted = [
        {**_row(number), **row, "python_version": COUNTED_ON}
        for number, row in enumerate(_covering_array(code, given=rows))
    ]
    others = _covering_array(choices(), given=[*rows, *counted])
    # The largest first, so that nobody waits for one of them at the end.
    others += sorted(_rest_of_the_product([*rows, *counted, *others]), key=_files, reverse=True)
    return (*named(), *map(_named, counted), *(replace(_named(row), in_full=False) for row in others))


def named() -> tuple[Variant, ...]:
    """Return the variants that have a name: the default, the examples, and the one with every feature."""
    return (Variant("default", {}), *_examples(), everything_on())


@cache
def everything_on() -> Variant:
    """Return the variant with the most files."""
    deciding = {question for feature in resolve({})["features"].values() for question in feature["questions"]}
    lists = [[(name, value) for value in choices()[name]] for name in sorted(deciding)]
    row = max(filter(possible, map(dict, product(*lists))), key=_files)
    return Variant("everything", {**row, "python_version": COUNTED_ON})


def _files(answers: dict[str, Any]) -> int:
    return sum(len(feature["files"]) for feature in resolve(answers)["features"].values() if feature["enabled"])


def key(variant: Variant) -> tuple[Any, ...]:
    """Return what a variant answers to each question that has choices."""
    answers = resolve(variant.answers)
    return tuple(answers[name] for name in choices())


def _examples() -> list[Variant]:
    files = sorted((ROOT / "examples").glob("*.yml"))
    rows = {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in files}
    return [Variant(name, {**row, "python_version": COUNTED_ON}) for name, row in rows.items()]


def _covering_array(lists: dict[str, tuple[Any, ...]], given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows that complete every pair of choices that is not in a given row."""
    presets = [{name: row[name] for name in lists} for row in given]
    limits = [
        {"operator": "fn", "requires": [name, *others], "evaluate": partial(_may_be, name)}
        for name, others in conditions().items()
        if {name, *others} <= lists.keys()
    ]
    array = covertable.make({name: list(values) for name, values in lists.items()}, presets=presets, constraints=limits)
    return [row for row in array if row not in presets]


def _rest_of_the_product(given: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Complete the combinations of FULL_PRODUCT, with any answers to the other questions."""
    done = {main(row) for row in given}
    left = [dict(zip(FULL_PRODUCT, each, strict=True)) for each in combinations() if each not in done]
    rows = [{**_row(number), **each} for number, each in enumerate(left)]
    return [row if possible(row) else {**row, "python_version": defaults()["python_version"]} for row in rows]


def combinations() -> list[tuple[Any, ...]]:
    """Return the combinations of FULL_PRODUCT that can be given."""
    every = product(*(choices()[name] for name in FULL_PRODUCT))
    return [each for each in every if possible(dict(zip(FULL_PRODUCT, each, strict=True)))]


def main(answers: dict[str, Any]) -> tuple[Any, ...]:
    """Return the answers to FULL_PRODUCT."""
    return tuple(answers[name] for name in FULL_PRODUCT)


def answered(variant: Variant) -> dict[str, Any]:
    """Return what a variant answers, by question."""
    return dict(zip(choices(), key(variant), strict=True))


def _may_be(name: str, row: dict[str, Any]) -> bool:
    return _possible(name, tuple((question, row[question]) for question in (name, *conditions()[name])))


@cache
def _possible(name: str, answers: tuple[tuple[str, Any], ...]) -> bool:
    return possible(dict(answers), name)


def _row(number: int) -> dict[str, Any]:
    """Answer everything, each time otherwise."""
    return {name: values[number % len(values)] for name, values in choices().items()}


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
