"""The guides for adding modules, tasks and consumers work as written."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guide_steps import execute_step, module_guide_steps
from tests.markdown import Block, blocks
from tests.matrix.processes import just
from tests.projects import files
from tests.rendering import Answers

NEW_FILES = 8
EDITED_LINES = 2
RULES = ("tests/test_architecture.py", "tests/security/test_protection.py")
"""Tests of a project that check every module."""


pytestmark = [pytest.mark.complete, pytest.mark.execution]


def check(project: Path, *tests: str) -> None:
    """Run the checks of a project, with selected tests."""
    for command in (["lint"], ["typecheck"], ["test", *tests]):
        just(project, *command)


def written_tests(steps: list[Block]) -> list[str]:
    """Return the test files that a guide creates."""
    return [step.title for step in steps if re.match(r"tests/.*/test_\w+\.py$", step.title)]


@pytest.mark.parametrize(("database", "auth"), [("sqlite", "jwt"), ("postgres", "none"), ("postgres", "oidc")])
def test_module_needs_eight_new_files_and_two_edited_lines(
    database: str, auth: str, render: Callable[[Answers], Path], tmp_path: Path
) -> None:
    rendered = render({"database": database, "auth": auth})
    project = Path(shutil.copytree(rendered, tmp_path / "project"))
    *steps, last = module_guide_steps(project)
    assert last.commands() == ["uv run just check"]

    for step in steps:
        execute_step(step, project)
    if (database, auth) == ("sqlite", "jwt"):
        just(project, "check", coverage=True)
    else:
        rules = [name for name in RULES if (project / name).exists()]
        check(project, *written_tests(steps), *rules)

    written = {Path(step.title) for step in steps if step.title} - set(files(rendered))
    migrations = {file for file in set(files(project)) - set(files(rendered)) if file.match("alembic/versions/*.py")}
    assert len(written) == NEW_FILES
    assert len(migrations) == 1
    changed = [file for file in files(rendered) if (project / file).read_bytes() != (rendered / file).read_bytes()]
    before, after = ((tree / "app/api.py").read_text(encoding="utf-8").splitlines() for tree in (rendered, project))
    assert changed == [Path("app/api.py")]
    assert len(after) == len(before) + EDITED_LINES
    assert set(before) < set(after)


def test_task_guide_works(render: Callable[[Answers], Path], tmp_path: Path) -> None:
    project = Path(shutil.copytree(render({"auth": "none", "workers": True}), tmp_path / "project"))
    guide = (project / "docs/background-work.md").read_text(encoding="utf-8")
    steps = [block for block in blocks(guide) if block.title]
    assert len(written_tests(steps)) == 1
    for step in steps:
        execute_step(step, project)
    check(project, "tests/modules", "tests/jobs")


def test_consumer_guide_works(render: Callable[[Answers], Path], tmp_path: Path) -> None:
    project = Path(shutil.copytree(render({"auth": "none", "kafka": True}), tmp_path / "project"))
    guide = (project / "docs/events.md").read_text(encoding="utf-8")
    steps = [block for block in blocks(guide) if block.title or "contracts-write" in block.body]
    assert len(written_tests(steps)) == 1
    for step in steps:
        execute_step(step, project)
    assert (project / "docs/contracts/events/bonus.earned.v1.json").is_file()
    check(project, "tests/modules", "tests/tools/contracts")
