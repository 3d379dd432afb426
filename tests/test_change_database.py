"""A service can be moved to another database, and back, without losing data.

As docs/how-to/postgresql.md describes: export, change the answer with `copier update`, import.
"""

import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.installed_project import (
    EMAIL,
    TITLE,
    InstalledProject,
    change_answers,
    create_project,
    create_todo,
    todo_titles,
)
from tests.matrix.processes import run
from tests.matrix.service import database
from tests.matrix.sign_in import password_sign_in
from tests.releases import commit, git

EXPORT = ".data/{}.jsonl"


def export(project: InstalledProject, name: str) -> list[str]:
    """Export all rows, and return the lines sorted."""
    project.app("db", "export", EXPORT.format(name))
    return sorted((project.folder / EXPORT.format(name)).read_text(encoding="utf-8").splitlines())


def change_database(project: InstalledProject, target: str, name: str, stack: ExitStack) -> InstalledProject:
    """Change the database, and import the exported rows."""
    change_answers(project.folder, database=target)
    commit(project.folder, f"Move to {target}")
    run(project.folder, "uv", "sync")
    moved = InstalledProject(project.folder, stack.enter_context(database(project.folder)))
    moved.app("db", "upgrade")
    output = moved.app("db", "import", EXPORT.format(name))
    assert re.search(r"^user_account: 1 rows$", output, re.MULTILINE), output
    moved.check()
    return moved


@pytest.mark.complete
@pytest.mark.execution
def test_data_moves_from_sqlite_to_postgres_and_back(history: Path, tmp_path: Path) -> None:
    folder = create_project(history, tmp_path / "project", database="sqlite", auth="jwt", docs_site=False)
    initial_commit = git(folder, "rev-parse", "HEAD")
    with ExitStack() as stack:
        auth = stack.enter_context(password_sign_in(folder))
        project = InstalledProject(folder, stack.enter_context(database(folder)))
        project.app("db", "upgrade")
        migrations = project.migrations()
        with project.serve(auth.settings) as service:
            headers = auth.register(service, EMAIL)
            create_todo(service, "/api/v1/todos", headers)

        exported = export(project, "from-sqlite")
        with (
            ExitStack() as postgres_stack
        ):  # ends before the move to SQLite, which removes the code that stops this server
            project = change_database(project, "postgres", "from-sqlite", postgres_stack)
            assert export(project, "unchanged") == exported
            with project.serve(auth.settings) as service:
                assert todo_titles(service, headers) == [TITLE]  # the session is still valid, and
                new_headers = auth.log_in(service, EMAIL)  # the password is the same
                create_todo(service, "/api/v1/todos", new_headers)
            exported = export(project, "from-postgres")

        (folder / ".data/production.db").unlink()  # the guide requires a new file
        project = change_database(project, "sqlite", "from-postgres", stack)
        assert export(project, "back") == exported
        with project.serve(auth.settings) as service:
            assert todo_titles(service, auth.log_in(service, EMAIL)) == [TITLE, TITLE]

        assert project.migrations() == migrations
        assert git(folder, "diff", "--stat", initial_commit, "--", ".", ":(exclude)uv.lock") == ""
