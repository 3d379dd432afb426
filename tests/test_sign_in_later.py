"""A service grows: whoever begins without sign-in can have it later, and keeps the people and their data.

Done as docs/how-to/answers.md says: the answer is changed by `copier update`, the project writes one migration.
"""

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.matrix.processes import run
from tests.matrix.service import Service, database, serving, stop
from tests.matrix.sign_in import Headers, by_password, by_provider
from tests.rendering import recorded_answers, snapshot

EMAIL = "ada@example.com"
TITLE = "Buy milk"
MIGRATIONS = "alembic/versions"
GIT = ("git", "-c", "user.name=Test", "-c", "user.email=test@example.com")


def commit(folder: Path, message: str) -> None:
    """Put a folder, as it is now, under version control."""
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", message]):
        subprocess.run([*GIT, *command], cwd=folder, check=True)


def copier(*arguments: object, folder: Path) -> None:
    """Run the command that a person types."""
    run(folder, sys.executable, "-m", "copier", *map(str, arguments), timeout=120)


@dataclass(frozen=True)
class Project:
    """A project with a database."""

    folder: Path
    url: str

    def app(self, *arguments: str) -> str:
        """Run the project's own command, as on a developer's machine."""
        return run(self.folder, "uv", "run", "app", *arguments, ENV="dev", DATABASE_URL=self.url)

    @contextmanager
    def serve(self, settings: dict[str, str]) -> Generator[Service]:
        """Serve while the block runs."""
        known = {"ENV": "dev", "DATABASE_URL": self.url, **settings}
        with serving(self.folder, self.folder / ".data/serve.log", known) as service:
            yield service
            stop(service)

    def migrations(self) -> set[str]:
        """Return the names of the migrations."""
        return {file.name for file in (self.folder / MIGRATIONS).glob("*.py")}


@pytest.fixture
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Project]:
    """A project without sign-in, from a tagged version of the template, with its database at work."""
    template = snapshot(tmp_path / "template")
    commit(template, "All")
    subprocess.run(["git", "tag", "1.0.0"], cwd=template, check=True)
    folder = tmp_path / "project"
    answers = ("--data", "auth=none", "--data", f"database={request.param}", "--data", "docs_site=false")
    copier("copy", "--defaults", *answers, template, folder, folder=tmp_path)
    run(folder, "uv", "sync")
    commit(folder, "Start")
    with database(folder) as url:
        yield Project(folder, url)


def note_something(project: Project) -> None:
    """Use the service as somebody who has no password yet."""
    project.app("db", "upgrade")
    with project.serve({}) as service:
        user = service.request("POST", "/api/v1/users", {"email": EMAIL, "name": "Ada Lovelace"})
        assert user.status == 201, user
        todo = service.request("POST", f"/api/v1/users/{user.json()['id']}/todos", {"title": TITLE})
        assert todo.status == 201, todo


def switch(project: Project, auth: str) -> None:
    """Change the answer, and bring the database along."""
    before = project.migrations()
    copier("update", "--defaults", "--vcs-ref", ":current:", "--data", f"auth={auth}", folder=project.folder)
    assert recorded_answers(project.folder)["auth"] == auth
    changed = subprocess.run(
        ["git", "status", "--short"], cwd=project.folder, capture_output=True, text=True, check=True
    )
    assert not [line for line in changed.stdout.splitlines() if "U" in line[:2]], f"conflicts:\n{changed.stdout}"
    run(project.folder, "uv", "lock")
    project.app("db", "generate", "add sign-in")
    project.app("db", "upgrade")
    assert len(project.migrations() - before) == 1
    assert before < project.migrations()
    project.app("db", "check")
    run(project.folder, "uv", "run", "just", "lint")
    run(project.folder, "uv", "run", "just", "test", "tests/db/test_migrations.py")


def todos(service: Service, headers: Headers) -> list[str]:
    """Return what somebody has to do."""
    answer = service.request("GET", "/api/v1/todos", headers=headers)
    assert answer.status == 200, answer
    return [todo["title"] for todo in json.loads(answer.body)["items"]]


@pytest.mark.execution
@pytest.mark.parametrize("project", ["sqlite", "postgres"], indirect=True)
def test_people_choose_a_password_by_mail_and_find_their_todos(project: Project) -> None:
    note_something(project)
    switch(project, "jwt")
    with by_password(project.folder) as people, project.serve(people.settings) as service:
        people.check_strangers(service)
        people.reset(service, EMAIL)
        assert todos(service, people.enter(service, EMAIL)) == [TITLE]


@pytest.mark.execution
@pytest.mark.parametrize("project", ["sqlite"], indirect=True)
def test_people_sign_in_with_a_provider_and_find_their_todos(project: Project) -> None:
    note_something(project)
    switch(project, "oidc")
    with by_provider(project.folder) as people, project.serve(people.settings) as service:
        people.check_strangers(service)
        assert todos(service, people.enter(service, EMAIL)) == [TITLE]
