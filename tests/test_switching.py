"""Every answer can be changed later, and back again."""

from pathlib import Path
from typing import Any

import pytest

from tests.questionnaire import choices, resolve
from tests.releases import commit
from tests.team import Team
from tests.updating import NEXT, begin, switch, tree

DEFAULTS = resolve({})
OTHERS = [(question, answer) for question, all_ in choices().items() for answer in all_ if answer != DEFAULTS[question]]
DECIDING = {question for feature in DEFAULTS["features"].values() for question in feature["questions"]}
YOURS = {"README.md", "CHANGELOG.md", "alembic/versions/0001_initial.py"}
"""What stays as it was first rendered (`_skip_if_exists`)."""


def different(one: Path, other: Path) -> set[str]:
    """Return the files that are not the same in two projects."""
    ours, theirs = tree(one), tree(other)
    return {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}


@pytest.mark.parametrize(("question", "answer"), OTHERS)
def test_there_and_back_is_where_one_was(question: str, answer: Any, history: Path, tmp_path: Path) -> None:
    project = begin(history, tmp_path / "project", {}, NEXT)
    before = tree(project)

    switch(project, **{question: answer})
    if question != "preset":  # it fills in answers of new projects only
        fresh = begin(history, tmp_path / "fresh", {question: answer}, NEXT)
        assert different(project, fresh) <= YOURS

    switch(project, **{question: DEFAULTS[question]})
    assert tree(project) == before


@pytest.mark.parametrize(("question", "answer"), [other for other in OTHERS if other[0] in DECIDING])
def test_the_work_of_a_team_is_in_nobodys_way(question: str, answer: Any, history: Path, tmp_path: Path) -> None:
    project = begin(history, tmp_path / "project", {}, NEXT)
    team = Team.of(project)
    team.work(project)
    commit(project, "Work")
    before = tree(project)

    switch(project, **{question: answer})
    switch(project, **{question: DEFAULTS[question]})
    assert tree(project) == before
