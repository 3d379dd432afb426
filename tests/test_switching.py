"""Every answer can be changed later, and changed back."""

from pathlib import Path
from typing import Any

import pytest

from tests.customization import Customization
from tests.installed_project import EMAIL, InstalledProject, change_answers, create_project
from tests.matrix.processes import run
from tests.matrix.service import database
from tests.questionnaire import choices, resolve
from tests.releases import commit
from tests.updating import NEVER_UPDATED, NEXT, begin, switch, tree

pytestmark = pytest.mark.complete

DEFAULTS = resolve({})
OTHER_ANSWERS = [
    (question, answer) for question, all_ in choices().items() for answer in all_ if answer != DEFAULTS[question]
]
REQUIRED_ANSWERS = {"topology": {"database": "postgres", "workers": True, "kafka": True}}
"""Other answers without which a question is not asked."""


def differing_files(first: Path, second: Path) -> set[str]:
    """Return the files that differ between two projects."""
    first_files, second_files = tree(first), tree(second)
    return {
        name for name in first_files.keys() | second_files.keys() if first_files.get(name) != second_files.get(name)
    }


@pytest.mark.parametrize(("question", "answer"), OTHER_ANSWERS)
def test_switching_an_answer_back_restores_project(question: str, answer: Any, history: Path, tmp_path: Path) -> None:
    """The project has the edits of a team, which must not conflict."""
    project = begin(history, tmp_path / "project", REQUIRED_ANSWERS.get(question, {}), NEXT)
    customization = Customization.for_project(project)
    customization.apply(project)
    if question != "auth":  # uv adds them next to a package of `jwt`, which conflicts: see docs/how-to/answers.md
        customization.add_dependencies(project)
    commit(project, "Work")
    before = tree(project)

    switch(project, **{question: answer})
    if question != "preset":  # it only changes the defaults of new projects
        fresh = begin(history, tmp_path / "fresh", {**REQUIRED_ANSWERS.get(question, {}), question: answer}, NEXT)
        customization.apply(fresh)
        if question != "auth":
            customization.add_dependencies(fresh)
        assert differing_files(project, fresh) <= NEVER_UPDATED

    switch(project, **{question: DEFAULTS[question]})
    assert tree(project) == before


@pytest.mark.execution
def test_features_can_be_added_and_removed_with_data(history: Path, tmp_path: Path) -> None:
    """Workers, example and documentation site. Authentication: test_add_sign_in.py, database: test_change_database.py."""
    small, large = (dict.fromkeys(("workers", "example", "docs_site"), on) for on in (False, True))
    folder = create_project(history, tmp_path / "project", auth="none", **small)
    with database(folder) as url:
        project = InstalledProject(folder, url)
        project.app("db", "upgrade")
        with project.serve({}) as service:
            user = service.request("POST", "/api/v1/users", {"email": EMAIL, "name": "Ada Lovelace"}).json()

        change_answers(folder, **large)
        project.generate_migration("add jobs and to-dos")
        project.check_all()
        run(folder, "uv", "run", "just", "docs-build")
        with project.serve({}) as service:
            path = f"/api/v1/users/{user['id']}/todos"
            assert service.request("POST", path, {"title": "Buy milk"}).status == 201
        commit(folder, "On")

        change_answers(folder, **small)
        project.generate_migration("remove jobs and to-dos")
        project.check()
        commit(folder, "Off")
        with project.serve({}) as service:
            assert service.request("GET", f"/api/v1/users/{user['id']}").json() == user

        change_answers(folder, database="postgres")
    run(folder, "uv", "sync")
    with database(folder) as url:
        moved = InstalledProject(folder, url)
        moved.app("db", "upgrade")
        moved.check()  # a migration that drops tables, generated on SQLite, must work on PostgreSQL
