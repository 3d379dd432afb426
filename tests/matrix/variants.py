"""Which projects prove the template: the one list for pytest, for people and for the workflows.

Nothing here names an answer but FULL_PRODUCT. The questions and their choices come from
copier.yml, so a new choice is in the matrix as soon as it can be given.
"""

from collections.abc import Iterable, Sequence
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

AWKWARD_NAME = "Łódź \"Café\" \\ '混沌' 🚀 # 1: & <b>"
"""What the projects of the covering array are called, since somebody will call theirs so."""


@dataclass(frozen=True)
class Variant:
    """One project: what it is called in reports, and what is answered."""

    name: str
    answers: dict[str, Any]
    # Whether its tests count lines and send many requests, its site is built, and it serves as in production.
    # That is more than half of the time, and every pair of choices that reach the code has it in another.
    in_full: bool = True

    def __str__(self) -> str:
        return self.name


@cache
def variants() -> tuple[Variant, ...]:
    """Return every variant once: the default, the examples, a covering array of all choices, and what else there is."""
    known: dict[tuple[Any, ...], Variant] = {}
    for variant in (*named(), *map(_named, _covering_array(named()))):
        known.setdefault(key(variant), variant)
    # The largest first, so that nobody waits for one of them at the end.
    rest = sorted(_rest_of_the_product(known.values()), key=_files, reverse=True)
    return (*known.values(), *(replace(_named(row), in_full=False) for row in rest))


def named() -> tuple[Variant, ...]:
    """Return the variants that have a name: the default, the examples, and the one with every feature."""
    return (Variant("default", {}), *_examples(), everything_on())


@cache
def everything_on() -> Variant:
    """Return the variant with the most files."""
    deciding = {question for feature in resolve({})["features"].values() for question in feature["questions"]}
    lists = [[(name, value) for value in choices()[name]] for name in sorted(deciding)]
    return Variant("everything", max(filter(possible, map(dict, product(*lists))), key=_files))


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
    """Cover every pair of choices that reach the code; the given variants do their part.

    Not every machine has the newest Python. Its pairs are in rows of their own, so that
    a machine without it misses those and nothing else.
    """
    *older, newest = choices()["python_version"]
    presets = [_without_words(answered(variant)) for variant in given]
    lists = _without_words(_lists())
    limits = [
        {"operator": "fn", "requires": [name, *others], "evaluate": partial(_may_be, name)}
        for name, others in conditions().items()
    ]
    array = covertable.make({**lists, "python_version": older}, presets=presets, constraints=limits)
    on_older = [row for row in array if row not in presets]
    on_newest = covertable.make({**lists, "python_version": [newest]}, strength=1, constraints=limits)
    return [{**row, **_words(number)} for rows in (on_older, on_newest) for number, row in enumerate(rows)]


def _without_words(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in WORDS}


def _words(number: int) -> dict[str, Any]:
    """Answer the questions that reach no code, each time otherwise together."""
    return {name: _nth(choices()[name], number, turn) for turn, name in enumerate(WORDS, start=1)}


def _nth(values: Sequence[Any], number: int, turn: int) -> Any:
    """Take values in order, and move on by `turn` each time all were taken: lists with other turns meet in every pair."""
    return values[(number + turn * (number // len(values))) % len(values)]


def _rest_of_the_product(given: Iterable[Variant]) -> list[dict[str, Any]]:
    """Complete the combinations of FULL_PRODUCT, with any answers to the other questions."""
    *older, newest = choices()["python_version"]
    known = [answered(variant) for variant in given]
    done = {main(answers) for answers in known if answers["python_version"] != newest}
    left = [combination for combination in combinations() if combination not in done]
    return [
        {
            **_row(number),
            **_words(number),
            "python_version": older[number % len(older)],
            **dict(zip(FULL_PRODUCT, each, strict=True)),
        }
        for number, each in enumerate(left)
    ]


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
    row = {name: values[number % len(values)] for name, values in _lists().items()}
    return {name: value if possible(row, name) else defaults()[name] for name, value in row.items()}


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
