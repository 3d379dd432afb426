"""The list of variants covers all choices."""

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from tests.matrix.variants import COUNTED_ON, FULL_PRODUCT, WORDS, Variant, answered, combinations, key, main, variants
from tests.projects import contents
from tests.questionnaire import choices, possible
from tests.rendering import ROOT, Answers


@cache
def answers(in_full: bool = False) -> list[dict[str, Any]]:
    return [answered(variant) for variant in variants() if variant.in_full or not in_full]


def test_every_pair_of_choices_is_in_a_variant() -> None:
    for one, other in itertools.combinations(choices(), 2):
        assert together(one, other) == every_pair(one, other)


def test_every_pair_of_choices_that_affect_code_is_in_a_full_variant() -> None:
    for one, other in itertools.combinations(set(choices()) - {*WORDS, "python_version"}, 2):
        assert together(one, other, in_full=True) == every_pair(one, other)


def test_coverage_is_measured_where_it_costs_almost_nothing() -> None:
    """tests/test_coverage.py checks that older versions of Python, which use a trace function, report the same lines."""
    assert {answered(variant)["python_version"] for variant in variants() if variant.in_full} == {COUNTED_ON}


def test_preset_and_license_do_not_affect_code(render: Callable[[Answers], Path]) -> None:
    given = answered(Variant("default", {}))
    for question in WORDS:
        first, *others = [contents(render({**given, question: each})) for each in choices()[question]]
        for other in others:
            different = {name for name in first.keys() | other.keys() if first.get(name) != other.get(name)}
            assert different <= {"LICENSE", "README.md", "pyproject.toml"}


def together(one: str, other: str, in_full: bool = False) -> set[tuple[Any, Any]]:
    """Return the pairs of answers to two questions that are in a variant."""
    return {(given[one], given[other]) for given in answers(in_full)}


@cache
def every_pair(one: str, other: str) -> set[tuple[Any, Any]]:
    """Return the valid pairs of answers to two questions."""
    pairs = itertools.product(choices()[one], choices()[other])
    return {pair for pair in pairs if can_be_given({one: pair[0], other: pair[1]})}


def can_be_given(pair: dict[str, Any]) -> bool:
    """Return whether a pair is valid with some answers to the main questions."""
    rest = [name for name in FULL_PRODUCT if name not in pair]
    every = itertools.product(*(choices()[name] for name in rest))
    return any(possible({**dict(zip(rest, each, strict=True)), **pair}) for each in every)


def test_every_combination_of_main_choices_is_in_a_variant() -> None:
    assert {main(given) for given in answers()} == set(combinations())
    assert (
        len(combinations()) == 26
    )  # 2 databases, 3 authentication methods, workers or not, Kafka or not, and 2 with topology=services


def test_variants_only_answer_questions_that_are_asked() -> None:
    assert [given for given in answers() if not possible(given)] == []


def test_variants_have_different_names_and_answers() -> None:
    assert len({variant.name for variant in variants()}) == len(variants())
    assert len({key(variant) for variant in variants()}) == len(variants())


def test_names_are_valid_for_folders_and_shells() -> None:
    assert all(str(variant).replace("-", "").replace("_", "").replace(".", "").isalnum() for variant in variants())


def test_command_lists_all_variants() -> None:
    command = [sys.executable, "-m", "tests.matrix", "list", "--json"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert json.loads(listed) == [variant.name for variant in variants()]
    assert Variant("default-answers", {}, in_full=False) in variants()
