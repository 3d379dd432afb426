"""The list of variants: nothing that can be answered is left out."""

import itertools
import json
import subprocess
import sys

from tests.matrix.variants import FULL_PRODUCT, Variant, key, variants
from tests.questionnaire import choices
from tests.rendering import ROOT


def answers() -> list[dict[str, object]]:
    return [dict(zip(choices(), key(variant), strict=True)) for variant in variants()]


def together(*questions: str) -> set[tuple[object, ...]]:
    """Return which choices of some questions occur together in a variant."""
    return {tuple(given[question] for question in questions) for given in answers()}


def test_every_pair_of_choices_is_in_a_variant() -> None:
    for one, other in itertools.combinations(choices(), 2):
        assert together(one, other) == set(itertools.product(choices()[one], choices()[other]))


def test_every_combination_of_the_main_choices_is_in_a_variant() -> None:
    assert together(*FULL_PRODUCT) == set(itertools.product(*(choices()[question] for question in FULL_PRODUCT)))


def test_a_missing_newest_python_takes_no_combination_along() -> None:
    """Some machines cannot run it; what it is combined with is then executed on the others."""
    *older, _ = choices()["python_version"]
    without = {tuple(given[q] for q in FULL_PRODUCT) for given in answers() if given["python_version"] in older}
    assert without == together(*FULL_PRODUCT)


def test_variants_differ_in_name_and_in_answers() -> None:
    assert len({variant.name for variant in variants()}) == len(variants())
    assert len({key(variant) for variant in variants()}) == len(variants())


def test_names_are_fit_for_folders_and_shells() -> None:
    assert all(str(variant).replace("-", "").replace("_", "").replace(".", "").isalnum() for variant in variants())


def test_the_command_lists_what_the_workflow_runs() -> None:
    command = [sys.executable, "-m", "tests.matrix", "list", "--json"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert json.loads(listed) == [variant.name for variant in variants()]
    assert Variant("default", {}) in variants()
