"""A service grows: whoever begins without sign-in can have it later, and keeps the people and their data.

Done as docs/how-to/answers.md says: the answer is changed by `copier update`, the project writes one migration.
"""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.living import EMAIL, TITLE, Project, add_todo, answer_anew, start, todos
from tests.matrix.service import database
from tests.matrix.sign_in import by_password, by_provider


@pytest.fixture
def project(request: pytest.FixtureRequest, history: Path, tmp_path: Path) -> Generator[Project]:
    """A project without sign-in, with its database at work."""
    folder = start(history, tmp_path / "project", auth="none", database=request.param, docs_site=False)
    with database(folder) as url:
        yield Project(folder, url)


def note_something(project: Project) -> None:
    """Use the service as somebody who has no password yet."""
    project.app("db", "upgrade")
    with project.serve({}) as service:
        user = service.request("POST", "/api/v1/users", {"email": EMAIL, "name": "Ada Lovelace"})
        assert user.status == 201, user
        add_todo(service, f"/api/v1/users/{user.json()['id']}/todos", {})


def switch(project: Project, auth: str) -> None:
    """Change the answer, and bring the database along."""
    answer_anew(project.folder, auth=auth)
    project.migrate("add sign-in")


@pytest.mark.complete
@pytest.mark.execution
@pytest.mark.parametrize("project", ["sqlite", "postgres"], indirect=True)
def test_people_choose_a_password_by_mail_and_find_their_todos(project: Project) -> None:
    note_something(project)
    switch(project, "jwt")
    (project.check_everything if project.url.startswith("sqlite") else project.check)()
    with by_password(project.folder) as people, project.serve(people.settings) as service:
        people.check_strangers(service)
        people.reset(service, EMAIL)
        assert todos(service, people.enter(service, EMAIL)) == [TITLE]


@pytest.mark.complete
@pytest.mark.execution
@pytest.mark.parametrize("project", ["sqlite"], indirect=True)
def test_people_sign_in_with_a_provider_and_find_their_todos(project: Project) -> None:
    note_something(project)
    switch(project, "oidc")
    project.check_everything()
    with by_provider(project.folder) as people, project.serve(people.settings) as service:
        people.check_strangers(service)
        assert todos(service, people.enter(service, EMAIL)) == [TITLE]
