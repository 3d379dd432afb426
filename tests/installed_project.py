"""An installed project with a database, whose answers can be changed."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.matrix.processes import just, run
from tests.matrix.service import Service, serving, stop
from tests.matrix.sign_in import Headers
from tests.releases import commit
from tests.rendering import recorded_answers
from tests.updating import NEXT, begin, update

EMAIL = "ada@example.com"
TITLE = "Buy milk"


@dataclass(frozen=True)
class InstalledProject:
    """An installed project, and the URL of its database."""

    folder: Path
    url: str

    def app(self, *arguments: str) -> str:
        """Run a command of the project in development mode."""
        return run(self.folder, "uv", "run", "app", *arguments, ENV="dev", DATABASE_URL=self.url)

    @contextmanager
    def serve(self, settings: dict[str, str]) -> Generator[Service]:
        """Run the HTTP server during the block."""
        known = {"ENV": "dev", "DATABASE_URL": self.url, **settings}
        with serving(self.folder, self.folder / ".data/serve.log", known) as service:
            yield service
            stop(service)

    def migrations(self) -> set[str]:
        return {file.name for file in (self.folder / "alembic/versions").glob("*.py")}

    def generate_migration(self, message: str) -> None:
        """Generate and apply a migration, as docs/how-to/answers.md describes."""
        before = self.migrations()
        self.app("db", "generate", message)
        self.app("db", "upgrade")
        assert len(self.migrations() - before) == 1
        assert before < self.migrations()

    def check(self) -> None:
        """Check that models, migrations and database match."""
        self.app("db", "check")
        just(self.folder, "lint")
        just(self.folder, "test", "tests/db/test_migrations.py")

    def check_all(self) -> None:
        """Run the checks of CI, without coverage, which other tests measure for the same answers."""
        self.app("db", "check")
        just(self.folder, "check")


def create_project(template: Path, folder: Path, **answers: object) -> Path:
    """Render a project from the newest version of the template, install and commit it."""
    begin(template, folder, answers, NEXT)
    run(folder, "uv", "sync")
    commit(folder, "Lock")
    return folder


def change_answers(folder: Path, **answers: object) -> None:
    """Change answers as docs/how-to/answers.md describes."""
    update(folder, "--vcs-ref", ":current:", **answers)
    recorded = recorded_answers(folder)
    assert {name: recorded[name] for name in answers} == answers
    run(folder, "uv", "lock")


def create_todo(service: Service, path: str, headers: Headers) -> None:
    """Create a to-do; the path depends on the authentication method."""
    added = service.request("POST", path, {"title": TITLE}, headers)
    assert added.status == 201, added


def todo_titles(service: Service, headers: Headers) -> list[str]:
    """Return the titles of the user's to-dos."""
    response = service.request("GET", "/api/v1/todos", headers=headers)
    assert response.status == 200, response
    return [todo["title"] for todo in json.loads(response.body)["items"]]
