"""Every answer can be changed later, and back again."""

from pathlib import Path
from typing import Any

import pytest

from tests.living import EMAIL, Project, answer_anew, start
from tests.matrix.processes import run
from tests.matrix.service import database
from tests.questionnaire import choices, resolve
from tests.releases import commit
from tests.team import Team
from tests.updating import NEXT, begin, switch, tree

pytestmark = pytest.mark.complete

DEFAULTS = resolve({})
OTHERS = [(question, answer) for question, all_ in choices().items() for answer in all_ if answer != DEFAULTS[question]]
NEEDS = {"topology": {"database": "postgres", "workers": True, "kafka": True}}
"""Without which a question is not asked."""
YOURS = {"README.md", "CHANGELOG.md", "ROADMAP.md", "alembic/versions/0001_initial.py"}
"""What stays as it was first rendered (`_skip_if_exists`)."""


def different(one: Path, other: Path) -> set[str]:
    """Return the files that are not the same in two projects."""
    ours, theirs = tree(one), tree(other)
    return {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}


@pytest.mark.parametrize(("question", "answer"), OTHERS)
def test_there_and_back_is_where_one_was(question: str, answer: Any, history: Path, tmp_path: Path) -> None:
    """With a team's work in it, which is in nobody's way."""
    project = begin(history, tmp_path / "project", NEEDS.get(question, {}), NEXT)
    team = Team.of(project)
    team.work(project)
    if question != "auth":  # uv puts them next to a package of `jwt`: docs/how-to/answers.md says what to do
        team.add_dependencies(project)
    commit(project, "Work")
    before = tree(project)

    switch(project, **{question: answer})
    if question != "preset":  # it fills in answers of new projects only
        fresh = begin(history, tmp_path / "fresh", {**NEEDS.get(question, {}), question: answer}, NEXT)
        team.work(fresh)
        if question != "auth":
            team.add_dependencies(fresh)
        assert different(project, fresh) <= YOURS

    switch(project, **{question: DEFAULTS[question]})
    assert tree(project) == before


@pytest.mark.execution
def test_a_small_service_grows_and_shrinks_with_people_in_its_database(history: Path, tmp_path: Path) -> None:
    """Workers, example and site, on and off again. Sign-in: test_sign_in_later.py, database: test_change_database.py."""
    small, large = (dict.fromkeys(("workers", "example", "docs_site"), on) for on in (False, True))
    folder = start(history, tmp_path / "project", auth="none", **small)
    with database(folder) as url:
        project = Project(folder, url)
        project.app("db", "upgrade")
        with project.serve({}) as service:
            user = service.request("POST", "/api/v1/users", {"email": EMAIL, "name": "Ada Lovelace"}).json()

        answer_anew(folder, **large)
        project.migrate("add jobs and to-dos")
        project.check_everything()
        run(folder, "uv", "run", "just", "docs-build")
        with project.serve({}) as service:
            todos = f"/api/v1/users/{user['id']}/todos"
            assert service.request("POST", todos, {"title": "Buy milk"}).status == 201
        commit(folder, "On")

        answer_anew(folder, **small)
        project.migrate("remove jobs and to-dos")
        project.check()
        commit(folder, "Off")
        with project.serve({}) as service:
            assert service.request("GET", f"/api/v1/users/{user['id']}").json() == user

        answer_anew(folder, database="postgres")
    run(folder, "uv", "sync")
    with database(folder) as url:
        moved = Project(folder, url)
        moved.app("db", "upgrade")
        moved.check()  # a migration that drops tables, written on SQLite, is good for PostgreSQL
