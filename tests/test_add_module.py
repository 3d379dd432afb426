"""The walk "Add a module" of a project's CONTRIBUTING.md, followed to the letter."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.projects import files
from tests.rendering import Answers
from tests.walk import follow, walk

NEW_FILES = 8
EDITED_LINES = 2


@pytest.mark.execution
@pytest.mark.parametrize(("database", "auth"), [("sqlite", "jwt"), ("postgres", "none"), ("postgres", "oidc")])
def test_a_module_is_eight_new_files_and_two_edited_lines(
    database: str, auth: str, render: Callable[[Answers], Path], tmp_path: Path
) -> None:
    rendered = render({"database": database, "auth": auth})
    project = Path(shutil.copytree(rendered, tmp_path / "project"))
    steps = walk(project)
    assert steps[-1].commands() == ["uv run just check"]

    for step in steps:
        follow(step, project)

    written = {Path(step.title) for step in steps if step.title} - set(files(rendered))
    migrations = {file for file in set(files(project)) - set(files(rendered)) if file.match("alembic/versions/*.py")}
    assert len(written) == NEW_FILES
    assert len(migrations) == 1
    changed = [file for file in files(rendered) if (project / file).read_bytes() != (rendered / file).read_bytes()]
    before, after = ((tree / "app/api.py").read_text(encoding="utf-8").splitlines() for tree in (rendered, project))
    assert changed == [Path("app/api.py")]
    assert len(after) == len(before) + EDITED_LINES
    assert set(before) < set(after)
