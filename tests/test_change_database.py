"""A service can be moved to another database, and back, without losing data.

As docs/how-to/postgresql.md describes: change the answer with `copier update`, and copy the rows with
`migrations/copy_database.py`.
"""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

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
from tests.matrix.processes import StepError, run
from tests.matrix.service import database
from tests.matrix.sign_in import SignIn, password_sign_in
from tests.releases import commit, git
from tests.rendering import ROOT

SCRIPT = ROOT / "migrations/copy_database.py"
ID = "00000000000040008000000000000001"

NODE = '''

class Node(Base, table=True):
    """A row that may refer to a later one."""

    __tablename__ = "node"

    id: int | None = Field(default=None, primary_key=True)
    name: str | None = Field(default=None, max_length=10)
    parent_id: int | None = Field(default=None, foreign_key="node.id")
'''

# Run in the project that uses PostgreSQL, which can read both databases.
READ_ALL = """
import json, sys
from sqlalchemy import select
from copy_database import Base, open_engine
with open_engine(sys.argv[1], "database").connect() as connection:
    rows = {table.name: sorted(map(repr, connection.execute(select(table)))) for table in Base.metadata.sorted_tables}
print(json.dumps(rows))
"""
EXECUTE = """
import sys
from sqlalchemy import text
from copy_database import open_engine
with open_engine(sys.argv[1], "database").begin() as connection:
    for statement in sys.argv[2:]:
        result = connection.execute(text(statement))
    print(result.scalar() if result.returns_rows else result.rowcount)
"""


def python(project: InstalledProject, program: str, *arguments: str) -> str:
    """Run a program that may import the script, and return the last line that it prints."""
    output = run(project.folder, "uv", "run", "python", "-c", program, *arguments, PYTHONPATH=str(SCRIPT.parent))
    return output.strip().splitlines()[-1]


def all_rows(project: InstalledProject, url: str) -> dict[str, Any]:
    rows: dict[str, Any] = json.loads(python(project, READ_ALL, url))
    return rows


def copy_database(project: InstalledProject, source: str, target: str) -> str:
    """Run the script in a project, whose own database can be named `project`."""
    return run(project.folder, "uv", "run", "python", str(SCRIPT), source, target, ENV="dev", DATABASE_URL=project.url)


def refusal(project: InstalledProject, source: str, target: str = "project") -> str:
    """Run the script, and return its error message."""
    with pytest.raises(StepError) as refused:
        copy_database(project, source, target)
    assert "Traceback" not in str(refused.value)
    return str(refused.value)


def change_database(folder: Path, target: str) -> None:
    """Change the answer, and install the changed project."""
    change_answers(folder, database=target)
    commit(folder, f"Move to {target}")
    run(folder, "uv", "sync")


def add_node(folder: Path) -> None:
    """Add a table that refers to itself, and whose keys are from a sequence."""
    models = folder / "app/modules/user/models.py"
    text = models.read_text(encoding="utf-8").replace("import Entity", "import Base, Entity")
    models.write_text(text + NODE, encoding="utf-8")


def edited(source: Path, *statements: str) -> str:
    """Copy a SQLite database, change the copy, and return its URL."""
    copy = source.with_name("edited.db")
    copy.unlink(missing_ok=True)
    with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(copy)) as connection:
        original.backup(connection)
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return f"sqlite:///{copy}"


def user(name: str, **values: str) -> str:
    """Return the statement that inserts a user with a given name, an SQL expression."""
    fields = {"id": f"'{ID}'", "email": "'eve@example.com'", "version": "1", "name": name}
    fields |= dict.fromkeys(("created_at", "updated_at"), "'2030-01-01 00:00:00'") | values
    return f"INSERT INTO user_account ({', '.join(fields)}) VALUES ({', '.join(fields.values())})"  # noqa: S608


def check_refusals(project: InstalledProject, source: Path) -> None:
    """Check that nothing is copied that PostgreSQL would reject, and that errors name the row but not its values."""
    row = "The target rejects the row of user_account with id 00000000-0000-4000-8000-000000000001: "
    assert f"{row}name contains a NUL character" in refusal(project, edited(source, user("'secret' || char(0)")))
    assert f"{row}name has more than 100 characters" in refusal(project, edited(source, user("printf('%.101c', 's')")))
    message = refusal(project, edited(source, user("'secret'", version="99999999999")))
    assert f"{row}NumericValueOutOfRange" in message
    assert "secret" not in message
    message = refusal(project, edited(source, user("'Eve'", created_at="'secret'")))
    assert f"The source has an invalid value in the row of user_account with id {ID} (ValueError)." in message
    assert "secret" not in message.replace(str(project.folder), "")
    orphan = edited(source, "INSERT INTO node (id, parent_id) VALUES (3, 99)")
    assert 'violates foreign key constraint "fk_node_parent_id"' in refusal(project, orphan)
    other = edited(source, "UPDATE alembic_version SET version_num = 'other'")
    assert "The source is at migration ['other'], the target at ['" in refusal(project, other)
    assert "The source does not have: node.name." in refusal(project, edited(source, "ALTER TABLE node DROP name"))
    assert "The source is unavailable: " in refusal(project, "sqlite:///.data/missing.db")
    assert not (project.folder / ".data/missing.db").exists()
    assert "The source is unavailable: " in refusal(project, "postgresql://ada@127.0.0.1:1/app")
    assert "The source is neither SQLite nor PostgreSQL." in refusal(project, "mysql://127.0.0.1/app")
    assert "The source is not a URL." in refusal(project, "rows")


def move_to_postgres(folder: Path, source: Path, auth: SignIn, headers: Any) -> dict[str, Any]:
    """Move a project to PostgreSQL, use it, and return its rows."""
    change_database(folder, "postgres")
    with database(folder) as url:
        project = InstalledProject(folder, url)
        assert re.search(r"The target does not have: .*user_account", refusal(project, f"sqlite:///{source}"))
        project.app("db", "upgrade")
        check_refusals(project, source)
        expected = all_rows(project, f"sqlite:///{source}")

        changed = edited(source, "CREATE TABLE ours (id INTEGER)")
        output = copy_database(project, changed, "project")
        assert "Not copied, because no model has them: ours" in output
        assert re.search(r"^user_account: 1 rows$", output, re.MULTILINE), output
        assert all_rows(project, url) == expected
        assert "These tables of the target are not empty: " in refusal(project, f"sqlite:///{source}")
        assert python(project, EXECUTE, url, "INSERT INTO node (name) VALUES ('next') RETURNING id") == "9"
        with pytest.raises(StepError, match="fk_node_parent_id"):
            python(project, EXECUTE, url, "INSERT INTO node (parent_id) VALUES (99)")
        project.check()

        with project.serve(auth.settings) as service:
            assert todo_titles(service, headers) == [TITLE]  # the session is still valid, and
            create_todo(service, "/api/v1/todos", auth.log_in(service, EMAIL))  # the password is the same
        return all_rows(project, url)


@pytest.mark.complete
@pytest.mark.execution
def test_data_moves_from_sqlite_to_postgres_and_back(history: Path, tmp_path: Path) -> None:
    folder = create_project(history, tmp_path / "project", database="sqlite", auth="jwt", docs_site=False)
    add_node(folder)
    with password_sign_in(folder) as auth, database(folder) as url:
        project = InstalledProject(folder, url)
        project.app("db", "upgrade")
        project.generate_migration("nodes")
        commit(folder, "Add nodes")
        initial_commit = git(folder, "rev-parse", "HEAD")
        with project.serve(auth.settings) as service:
            headers = auth.register(service, EMAIL)
            create_todo(service, "/api/v1/todos", headers)
        source = folder / ".data/production.db"
        with closing(sqlite3.connect(source)) as connection:
            connection.executescript("INSERT INTO node (id, parent_id) VALUES (7, 8), (8, NULL);")

        rows = move_to_postgres(folder, source, auth, headers)

        source.unlink()  # the guide requires a new file
        git(folder, "switch", "--quiet", "--create", "sqlite")
        change_database(folder, "sqlite")
        project.app("db", "upgrade")
        git(folder, "switch", "--quiet", "-")
        run(folder, "uv", "sync")
        with database(folder) as postgres_url:
            project_with_postgres = InstalledProject(folder, postgres_url)
            copy_database(project_with_postgres, "project", url)
            assert all_rows(project_with_postgres, url) == rows
        git(folder, "switch", "--quiet", "-")
        run(folder, "uv", "sync")
        project.check()
        with project.serve(auth.settings) as service:
            assert todo_titles(service, auth.log_in(service, EMAIL)) == [TITLE, TITLE]
        assert git(folder, "diff", "--stat", initial_commit, "--", ".", ":(exclude)uv.lock") == ""
