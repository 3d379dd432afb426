"""A service moves to another database, and back, and nothing is lost.

Done as docs/how-to/postgresql.md says: export, change the answer by `copier update`, import.
"""

import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.living import EMAIL, TITLE, Project, add_todo, answer_anew, start, todos
from tests.matrix.processes import run
from tests.matrix.service import database
from tests.matrix.sign_in import by_password
from tests.releases import commit, git

EXPORT = ".data/{}.jsonl"


def export(project: Project, name: str) -> list[str]:
    """Carry everything away, and return the lines in an order of their own."""
    project.app("db", "export", EXPORT.format(name))
    return sorted((project.folder / EXPORT.format(name)).read_text(encoding="utf-8").splitlines())


def move(project: Project, to: str, name: str, stack: ExitStack) -> Project:
    """Change the database, and bring the rows that were exported along."""
    answer_anew(project.folder, database=to)
    commit(project.folder, f"Move to {to}")
    run(project.folder, "uv", "sync")
    moved = Project(project.folder, stack.enter_context(database(project.folder)))
    moved.app("db", "upgrade")
    told = moved.app("db", "import", EXPORT.format(name))
    assert re.search(r"^user_account: 1 rows$", told, re.MULTILINE), told
    moved.check()
    return moved


@pytest.mark.complete
@pytest.mark.execution
def test_people_and_their_todos_move_from_sqlite_to_postgres_and_back(history: Path, tmp_path: Path) -> None:
    folder = start(history, tmp_path / "project", database="sqlite", auth="jwt", docs_site=False)
    first = git(folder, "rev-parse", "HEAD")
    with ExitStack() as stack:
        people = stack.enter_context(by_password(folder))
        project = Project(folder, stack.enter_context(database(folder)))
        project.app("db", "upgrade")
        migrations = project.migrations()
        with project.serve(people.settings) as service:
            me = people.open(service, EMAIL)
            add_todo(service, "/api/v1/todos", me)

        carried = export(project, "from-sqlite")
        with ExitStack() as until_it_moves_back:  # to SQLite, which takes away what could stop this server
            project = move(project, "postgres", "from-sqlite", until_it_moves_back)
            assert export(project, "unchanged") == carried
            with project.serve(people.settings) as service:
                assert todos(service, me) == [TITLE]  # the session goes on, and
                again = people.enter(service, EMAIL)  # the password is the same
                add_todo(service, "/api/v1/todos", again)
            carried = export(project, "from-postgres")

        (folder / ".data/production.db").unlink()  # the guide says: a new file
        project = move(project, "sqlite", "from-postgres", stack)
        assert export(project, "back") == carried
        with project.serve(people.settings) as service:
            assert todos(service, people.enter(service, EMAIL)) == [TITLE, TITLE]

        assert project.migrations() == migrations
        assert git(folder, "diff", "--stat", first, "--", ".", ":(exclude)uv.lock") == ""
