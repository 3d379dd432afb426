"""Changes that a team makes to its project between two updates; tests check that updates keep them."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.guide_steps import execute_step, module_guide_steps
from tests.markdown import Block
from tests.matrix.processes import run
from tests.rendering import ROOT, recorded_answers

Edit = Callable[[str], str]

API = "app/api.py"
ENV = "ENV=dev\nJWT_SECRET_KEY=a-secret-of-this-machine-that-is-never-shared\n"

CREATION = re.compile(r"^    return await once\((?P<create>[\w.]+), data, (?P<model>\w+)\)$", re.MULTILINE)
NEW_CREATION = r"""    await once.claim(data)
    entity = \g<model>.model_validate(await \g<create>(data))
    return once.created(entity)"""

ROUTE = '''

@router.get("/{user_id}/joined", summary="Read when a user joined", responses=problems(UserNotFound))
async def get_joined(user_id: UUID, users: UserServiceDep) -> str:
    """Return the day in words."""
    return naturalday((await users.get(user_id)).created_at)
'''

NEW_FILES = {
    "README.md": "# Our service\n\nWritten entirely by us.\n",
    "docs/our-decisions.md": "# Ours\n",
    "alembic/versions/7c1f_tidy_names.py": '''"""Trim names.

Revision: 7c1f
Follows: 0001
"""

from alembic import op

revision = "7c1f"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the migration."""
    op.execute("UPDATE user_account SET name = trim(name)")


def downgrade() -> None:
    """Keep the trimmed names."""
''',
    "tests/modules/user/test_joined.py": '''"""The day on which a user joined."""

from httpx2 import AsyncClient

from tests.factories import UserCreateFactory
from tests.people import lead


async def test_joined_is_a_day_in_words(client: AsyncClient) -> None:
    lead(client)
    user = (await client.post("/api/v1/users", json=UserCreateFactory.build().model_dump())).json()

    assert (await client.get(f"/api/v1/users/{user['id']}/joined")).json() == "today"
''',
}


def insert_below(line: str, addition: str) -> Edit:
    """Insert a line below the only line that starts with a text."""

    def edit(text: str) -> str:
        matches = re.findall(rf"^ *{re.escape(line)}.*\n", text, re.MULTILINE)
        assert len(matches) == 1, f"{line} occurs {len(matches)} times"
        return text.replace(matches[0], f"{matches[0]}{addition}\n")

    return edit


def replace_text(old: str, new: str) -> Edit:
    """Replace a text."""
    return lambda text: text.replace(old, new)


def insert_after_imports(line: str) -> Edit:
    """Insert an import below the last one."""

    def edit(text: str) -> str:
        *_, last = re.finditer(r"^from .*\n", text, re.MULTILINE)
        return f"{text[: last.end()]}{line}{text[last.end() :]}"

    return edit


def append(addition: str) -> Edit:
    """Append a text to a file."""
    return lambda text: f"{text.rstrip()}\n{addition.rstrip()}\n"


EDITS: dict[str, tuple[Edit, ...]] = {
    "pyproject.toml": (replace_text("fail_under = 100", "fail_under = 95"),),
    "app/modules/user/routes.py": (
        insert_below("from fastapi import", "from humanize import naturalday"),
        append(ROUTE),
    ),
    "app/core/config.py": (
        insert_below(
            "port: int",
            '    support_email: str = Field(default="help@example.com", description="Support address.")',
        ),
    ),
    ".env.example": (insert_below("# PORT=", "# Support address\n# SUPPORT_EMAIL=help@example.com"),),
    ".github/workflows/ci.yml": (replace_text("timeout-minutes: 15", "timeout-minutes: 30"),),
    ".gitignore": (append("\n/exports/"),),
    "CHANGELOG.md": (insert_below("## Unreleased", "\n- Orders."), append("- Shows when a user joined.")),
    "CONTRIBUTING.md": (append("\n## In our team\n\nAsk in #backend."),),
    "Dockerfile": (insert_below("USER 10001", "LABEL team=ours"),),
    "docker-compose.yml": (replace_text("stop_grace_period: 30s", "stop_grace_period: 45s"),),
    "justfile": (
        replace_text("uv run app serve --reload", "uv run app serve --reload --port 8080"),
        append('\n# Ours\n[group("ours")]\nreport:\n    uv run python -m reports'),
    ),
}


@dataclass(frozen=True)
class Customization:
    """The changes of a team that follows the guide of the version that its project was generated with."""

    steps: list[Block]
    append_to_api: bool  # app/api.py of version 0.1.0 has no comments that mark places for modules

    @classmethod
    def for_project(cls, project: Path) -> "Customization":
        """Read the guide of a project."""
        old = "below this line" not in (project / API).read_text(encoding="utf-8")
        return cls([step for step in module_guide_steps(project) if step.title], old)

    def apply(self, project: Path) -> None:
        """Write `.env`, add files and a module, and edit rendered files."""
        (project / ".env").write_text(ENV, encoding="utf-8")
        for name, text in NEW_FILES.items():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_text(text, encoding="utf-8")
        for step in self.steps:
            if step.title == API and self.append_to_api:
                apply_edits(
                    project / API, insert_after_imports(step.body) if "import" in step.body else append(step.body)
                )
            else:
                execute_step(step, project)
        for name, edits in EDITS.items():
            apply_edits(project / name, *edits)
        sort_imports(project)

    def follow_changelog(self, project: Path) -> None:
        """Replace the names and the call that the changelog lists in the files of the team."""
        names = dict(re.findall(r"`(\w+)`\s+is\s+now\s+`(\w+)`", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))
        old = re.compile(rf"\b({'|'.join(names)})\b")
        modules = [*project.glob("app/modules/order/*.py"), *project.glob("tests/modules/order/*.py")]
        for file in (*modules, *(project / name for name in NEW_FILES if name.endswith(".py"))):
            text = file.read_text(encoding="utf-8").replace("tests.people", "tests.users")
            text = old.sub(lambda found: names[found[0]], text)
            file.write_text(CREATION.sub(NEW_CREATION, text), encoding="utf-8")
        sort_imports(project)

    def add_dependencies(self, project: Path) -> None:
        """Add dependencies with uv, where it places none of them next to a dependency that only some answers have."""
        add = ("uv", "add", "--quiet", "--frozen", "--python", sys.executable)
        run(project, *add, "humanize>=4.12.0")
        run(project, *add, "--dev", "psutil>=7.0.0")

    def delete_example(self, project: Path) -> None:
        """Delete the example module by hand, without changing the answer."""
        if recorded_answers(project)["example"]:
            for folder in ("app/modules/todo", "tests/modules/todo", "app/modules/feed", "tests/modules/feed"):
                shutil.rmtree(project / folder, ignore_errors=folder.endswith("feed"))  # older versions have no `feed`
            apply_edits(project / API, lambda text: re.sub(r"^.*(todo|feed).*\n", "", text, flags=re.MULTILINE))


def sort_imports(project: Path) -> None:
    """Sort imports, and format what was edited, as `just format` does."""
    own = 'lint.isort.known-first-party = ["app", "tests"]'  # also modules that the template has moved
    for command in (("check", "--select", "I", "--fix", "--config", own), ("format",)):
        subprocess.run([sys.executable, "-m", "ruff", *command, "--quiet", "app", "tests"], cwd=project, check=True)


def apply_edits(file: Path, *edits: Edit) -> None:
    """Edit a file.

    Raises:
        AssertionError: If an edit has no effect.
    """
    for edit in edits:
        before = file.read_text(encoding="utf-8")
        after = edit(before)
        assert after != before, f"{file}: nothing to edit"
        file.write_text(after, encoding="utf-8")
