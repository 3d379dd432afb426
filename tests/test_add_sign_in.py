"""Authentication can be added to a service later; users and their data are kept.

As docs/how-to/sign-in.md describes, `copier update` changes the answer, and the project generates one migration.
"""

from collections.abc import Generator
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
from tests.matrix.service import database
from tests.matrix.sign_in import password_sign_in, provider_sign_in


@pytest.fixture
def project(request: pytest.FixtureRequest, history: Path, tmp_path: Path) -> Generator[InstalledProject]:
    """A project without authentication, with a database."""
    folder = create_project(history, tmp_path / "project", auth="none", database=request.param, docs_site=False)
    with database(folder) as url:
        yield InstalledProject(folder, url)


def create_user_with_todo(project: InstalledProject) -> None:
    """Create a user without a password."""
    project.app("db", "upgrade")
    with project.serve({}) as service:
        user = service.request("POST", "/api/v1/users", {"email": EMAIL, "name": "Ada Lovelace"})
        assert user.status == 201, user
        create_todo(service, f"/api/v1/users/{user.json()['id']}/todos", {})


def add_sign_in(project: InstalledProject, auth: str) -> None:
    """Change the answer, and migrate the database."""
    change_answers(project.folder, auth=auth)
    project.generate_migration("add sign-in")


@pytest.mark.complete
@pytest.mark.execution
@pytest.mark.parametrize("project", ["sqlite", "postgres"], indirect=True)
def test_users_set_password_by_email_and_keep_todos(project: InstalledProject) -> None:
    create_user_with_todo(project)
    add_sign_in(project, "jwt")
    (project.check_all if project.url.startswith("sqlite") else project.check)()
    with password_sign_in(project.folder) as auth, project.serve(auth.settings) as service:
        auth.check_anonymous(service)
        auth.reset_password(service, EMAIL)
        assert todo_titles(service, auth.log_in(service, EMAIL)) == [TITLE]


@pytest.mark.complete
@pytest.mark.execution
@pytest.mark.parametrize("project", ["sqlite"], indirect=True)
def test_users_sign_in_with_provider_and_keep_todos(project: InstalledProject) -> None:
    create_user_with_todo(project)
    add_sign_in(project, "oidc")
    project.check_all()
    with provider_sign_in(project.folder) as auth, project.serve(auth.settings) as service:
        auth.check_anonymous(service)
        assert todo_titles(service, auth.log_in(service, EMAIL)) == [TITLE]
