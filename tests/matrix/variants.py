"""The list of variants (combinations of answers) for pytest, `just matrix` and CI.

The questions and their choices are read from copier.yml, so new choices are included automatically.
"""

import itertools
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import yaml

from tests.questionnaire import choices, conditions, possible, resolve
from tests.rendering import ROOT

FULL_PRODUCT = ("database", "auth", "workers", "kafka", "topology")
"""The main questions: every valid combination of their choices is executed."""

WORDS = ("preset", "license")
"""Questions that do not affect code, only texts and defaults. Any variant can cover their pairs."""

COUNTED_ON = "3.14"
"""The Python version of the variants that measure coverage: the first on which that costs almost nothing."""

AWKWARD_NAME = "Łódź \"Café\" \\ '混沌' 🚀 # 1: & <b>"
"""A valid but difficult project name, for the projects of the covering array."""


@dataclass(frozen=True)
class Variant:
    """A combination of answers, and its name in reports."""

    name: str
    answers: dict[str, Any]
    # Whether to measure coverage, send many generated requests, build the documentation and run in production mode. Such
    # variants cover every pair of choices that affect code; pairs with a Python version may be in any variant.
    in_full: bool = True

    def __str__(self) -> str:
        return self.name


@cache
def variants() -> tuple[Variant, ...]:
    """Return every variant once: the default, the examples, two covering arrays, and the default on its own Python version.

    The first array covers every pair of choices that affect code, and measures coverage on one Python version. The second
    covers the remaining pairs, mostly those with other Python versions, and every combination of FULL_PRODUCT.
    """
    rows = [answered(variant) for variant in named()]
    code = {name: values for name, values in choices().items() if name not in (*WORDS, "python_version")}
    counted = [
        {**_row(number), **row, "python_version": COUNTED_ON}
        for number, row in enumerate(_covering_array(code, given=rows))
    ]
    unchanged = Variant("default-answers", {}, in_full=False)
    others = _covering_array(choices(), given=[*rows, *counted, answered(unchanged)], together=FULL_PRODUCT)
    # The largest first, so that the run does not end with one of them.
    others.sort(key=_files, reverse=True)
    return (*named(), *map(_named, counted), unchanged, *(replace(_named(row), in_full=False) for row in others))


def named() -> tuple[Variant, ...]:
    """Return the default and the examples, on the Python version of the variants that measure coverage."""
    return (Variant("default", {"python_version": COUNTED_ON}), *_examples())


def everything_on() -> Variant:
    """Return the variant with the most files."""
    return max(named(), key=lambda variant: _files(variant.answers))


def _files(answers: dict[str, Any]) -> int:
    return sum(len(feature["files"]) for feature in resolve(answers)["features"].values() if feature["enabled"])


def key(variant: Variant) -> tuple[Any, ...]:
    """Return the answers of a variant to all questions with choices."""
    answers = resolve(variant.answers)
    return tuple(answers[name] for name in choices())


def _examples() -> list[Variant]:
    files = sorted((ROOT / "examples").glob("*.yml"))
    rows = {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in files}
    return [Variant(name, {**row, "python_version": COUNTED_ON}) for name, row in rows.items()]


def _covering_array(
    lists: dict[str, tuple[Any, ...]], given: list[dict[str, Any]], together: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """Return additional rows, so that every valid pair of choices is in a row.

    The algorithm is greedy: it adds the row with the most missing pairs until none is missing.

    Args:
        lists: The choices of each question.
        given: The existing rows.
        together: Questions for which every combination must be in a row, not only every pair.
    """
    bits: dict[Any, int] = {}

    def covered(row: dict[str, Any]) -> int:
        """Return the pairs and the combination that a row covers, as a bit set."""
        pairs = itertools.combinations([(name, row[name]) for name in lists], 2)
        parts = [*pairs, tuple(row[name] for name in together)]
        return sum(1 << bits.setdefault(part, len(bits)) for part in parts)

    every = (dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values()))
    rows = [(covered(row), row) for row in every if _can_be_given(row)]
    missing = (1 << len(bits)) - 1
    for row in given:
        missing &= ~covered(row)
    added = []
    while missing:
        covers, row = max(rows, key=lambda each: (each[0] & missing).bit_count())
        missing &= ~covers
        added.append(row)
    return added


def combinations() -> list[tuple[Any, ...]]:
    """Return all valid combinations of answers to FULL_PRODUCT."""
    every = itertools.product(*(choices()[name] for name in FULL_PRODUCT))
    return [each for each in every if possible(dict(zip(FULL_PRODUCT, each, strict=True)))]


def main(answers: dict[str, Any]) -> tuple[Any, ...]:
    """Return the answers to FULL_PRODUCT."""
    return tuple(answers[name] for name in FULL_PRODUCT)


def answered(variant: Variant) -> dict[str, Any]:
    """Return the answers of a variant, by question."""
    return dict(zip(choices(), key(variant), strict=True))


def _can_be_given(row: dict[str, Any]) -> bool:
    return all(
        _possible(name, tuple((question, row[question]) for question in sorted({name, *others}) if question in row))
        for name, others in conditions().items()
        if name in row
    )


@cache
def _possible(name: str, answers: tuple[tuple[str, Any], ...]) -> bool:
    return possible(dict(answers), name)


def _row(number: int) -> dict[str, Any]:
    """Return answers to all questions, which differ for each number."""
    return {name: values[number % len(values)] for name, values in choices().items()}


def _named(row: dict[str, Any]) -> Variant:
    """Return a variant named after its answers. Numbers would change with every new choice."""
    return Variant(spelled(row), {"project_name": AWKWARD_NAME, **row})


def spelled(answers: dict[str, Any]) -> str:
    """Return a name made of the answers, those to FULL_PRODUCT first."""
    order = [*FULL_PRODUCT, *(name for name in choices() if name not in FULL_PRODUCT)]
    return "-".join(_word(name, answers[name]) for name in order)


def _word(question: str, answer: Any) -> str:
    if isinstance(answer, bool):
        return question if answer else f"no_{question}"
    return str(answer)
