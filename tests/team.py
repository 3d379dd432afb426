"""What a team does to its project between two updates, so that tests can look for it afterwards."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.markdown import Block
from tests.matrix.processes import run
from tests.rendering import recorded_answers
from tests.walk import follow, walk

Change = Callable[[str], str]

API = "app/api.py"
ENV = "ENV=dev\nJWT_SECRET_KEY=a-secret-of-this-machine-that-nobody-else-has\n"

ROUTE = '''

@router.get("/{user_id}/joined", summary="Say since when somebody is here", responses=problems(UserNotFound))
async def get_joined(user_id: UUID, users: UserServiceDep) -> str:
    """Say it the way people do."""
    return naturalday((await users.get(user_id)).created_at)
'''

OWN = {
    "README.md": "# Our service\n\nWritten by us, from the first line to the last.\n",
    "docs/our-decisions.md": "# Ours\n",
    "alembic/versions/7c1f_tidy_names.py": '''"""Names without blanks around them.

Revision: 7c1f
Follows: 0001
"""

from alembic import op

revision = "7c1f"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.execute("UPDATE user_account SET name = trim(name)")


def downgrade() -> None:
    """Leave the names as they are."""
''',
    "tests/modules/user/test_joined.py": '''"""Since when somebody is here."""

from httpx2 import AsyncClient

from tests.factories import UserCreateFactory
from tests.people import lead


async def test_people_read_a_day(client: AsyncClient) -> None:
    lead(client)
    user = (await client.post("/api/v1/users", json=UserCreateFactory.build().model_dump())).json()

    assert (await client.get(f"/api/v1/users/{user['id']}/joined")).json() == "today"
''',
}


def below(line: str, addition: str) -> Change:
    """Write something below the one line that is, or begins, like this."""

    def change(text: str) -> str:
        found = re.findall(rf"^ *{re.escape(line)}.*\n", text, re.MULTILINE)
        assert len(found) == 1, f"{line} is there {len(found)} times"
        return text.replace(found[0], f"{found[0]}{addition}\n")

    return change


def instead(old: str, new: str) -> Change:
    """Write something else."""
    return lambda text: text.replace(old, new)


def after_the_imports(line: str) -> Change:
    """Write an import below the others."""

    def change(text: str) -> str:
        *_, last = re.finditer(r"^from .*\n", text, re.MULTILINE)
        return f"{text[: last.end()]}{line}{text[last.end() :]}"

    return change


def at_the_end(addition: str) -> Change:
    """Write something at the end, as one does when in a hurry."""
    return lambda text: f"{text.rstrip()}\n{addition.rstrip()}\n"


EDITS: dict[str, tuple[Change, ...]] = {
    "pyproject.toml": (instead("fail_under = 100", "fail_under = 95"),),
    "app/modules/user/routes.py": (
        below("from fastapi import", "from humanize import naturalday"),
        at_the_end(ROUTE),
    ),
    "app/core/config.py": (
        below("log_level: str", '    support_email: str = Field(default="help@example.com", description="Who helps.")'),
    ),
    ".env.example": (below("# LOG_LEVEL=", "# Who helps\n# SUPPORT_EMAIL=help@example.com"),),
    ".github/workflows/ci.yml": (instead("timeout-minutes: 15", "timeout-minutes: 30"),),
    ".gitignore": (at_the_end("\n/exports/"),),
    "CHANGELOG.md": (below("## Unreleased", "\n- Orders."), at_the_end("- Says since when somebody is here.")),
    "CONTRIBUTING.md": (at_the_end("\n## At our place\n\nAsk in #backend."),),
    "Dockerfile": (below("USER 10001", "LABEL team=ours"),),
    "docker-compose.yml": (instead("stop_grace_period: 30s", "stop_grace_period: 45s"),),
    "justfile": (
        instead("uv run app serve --reload", "uv run app serve --reload --port 8080"),
        at_the_end('\n# Ours\n[group("ours")]\nreport:\n    uv run python -m reports'),
    ),
}


@dataclass(frozen=True)
class Team:
    """Those who own a project; they follow the guide of the version that it was made with."""

    steps: list[Block]
    at_the_end: bool  # version 0.1.0 had no places for own modules in app/api.py

    @classmethod
    def of(cls, project: Path) -> "Team":
        """Read the guide that they have."""
        old = "below this line" not in (project / API).read_text(encoding="utf-8")
        return cls([step for step in walk(project) if step.title], old)

    def work(self, project: Path) -> None:
        """Do what every team does: fill `.env`, add files and a module, edit what was rendered."""
        (project / ".env").write_text(ENV, encoding="utf-8")
        for name, text in OWN.items():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_text(text, encoding="utf-8")
        for step in self.steps:
            if step.title == API and self.at_the_end:
                edit(project / API, after_the_imports(step.body) if "import" in step.body else at_the_end(step.body))
            else:
                follow(step, project)
        for name, changes in EDITS.items():
            edit(project / name, *changes)
        sort = [sys.executable, "-m", "ruff", "check", "--quiet", "--select", "I", "--fix", "app"]
        subprocess.run(sort, cwd=project, check=True)

    def add_dependencies(self, project: Path) -> None:
        """Let uv choose the lines."""
        add = ("uv", "add", "--quiet", "--frozen", "--python", sys.executable)
        run(project, *add, "humanize>=4.12.0")
        run(project, *add, "--dev", "rich>=15.0.0")

    def delete_the_example(self, project: Path) -> None:
        """Delete it by hand, though there is a question for it."""
        if recorded_answers(project)["example"]:
            for folder in ("app/modules/todo", "tests/modules/todo"):
                shutil.rmtree(project / folder)
            edit(project / API, lambda text: re.sub(r"^.*todo.*\n", "", text, flags=re.MULTILINE))


def edit(file: Path, *changes: Change) -> None:
    """Make changes.

    Raises:
        AssertionError: If one of them finds nothing to change.
    """
    for change in changes:
        before = file.read_text(encoding="utf-8")
        after = change(before)
        assert after != before, f"{file}: nothing to edit"
        file.write_text(after, encoding="utf-8")
