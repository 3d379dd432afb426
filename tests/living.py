"""A project at work: with a database, rows in it, and answers that change."""

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
        return {file.name for file in (self.folder / "alembic/versions").glob("*.py")}

    def migrate(self, message: str) -> None:
        """Bring the tables along, as docs/how-to/answers.md says."""
        before = self.migrations()
        self.app("db", "generate", message)
        self.app("db", "upgrade")
        assert len(self.migrations() - before) == 1
        assert before < self.migrations()

    def check(self) -> None:
        """See whether models, migrations and database are in accord, on the database of the answers."""
        self.app("db", "check")
        just(self.folder, "lint")
        just(self.folder, "test", "tests/db/test_migrations.py")

    def check_everything(self) -> None:
        """Run what CI runs; whether tests reach each line is seen in projects of the same answers."""
        self.app("db", "check")
        just(self.folder, "check")


def start(template: Path, folder: Path, **answers: object) -> Path:
    """Render a project from the newest version of the template, install it and commit it."""
    begin(template, folder, answers, NEXT)
    run(folder, "uv", "sync")
    commit(folder, "Lock")
    return folder


def answer_anew(folder: Path, **answers: object) -> None:
    """Change answers as docs/how-to/answers.md says."""
    update(folder, "--vcs-ref", ":current:", **answers)
    recorded = recorded_answers(folder)
    assert {name: recorded[name] for name in answers} == answers
    run(folder, "uv", "lock")


def add_todo(service: Service, path: str, headers: Headers) -> None:
    """Note something."""
    added = service.request("POST", path, {"title": TITLE}, headers)
    assert added.status == 201, added


def todos(service: Service, headers: Headers) -> list[str]:
    """Return what somebody has to do."""
    answer = service.request("GET", "/api/v1/todos", headers=headers)
    assert answer.status == 200, answer
    return [todo["title"] for todo in json.loads(answer.body)["items"]]
