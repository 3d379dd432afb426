"""The walk "Add a module" of a project's CONTRIBUTING.md, followed to the letter."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.markdown import Block, blocks, section
from tests.matrix.processes import run
from tests.projects import files
from tests.rendering import Answers

NEW_FILES = 8
EDITED_LINES = 2


def follow(block: Block, project: Path) -> None:
    """Do what one block of the walk says."""
    if block.language == "console":
        for command in block.commands():
            run(project, "bash", "-c", command)
    elif block.title == "app/api.py":
        add_line(project / block.title, block.body)
    else:
        (project / block.title).parent.mkdir(parents=True, exist_ok=True)
        (project / block.title).write_text(block.body, encoding="utf-8")


def add_line(file: Path, line: str) -> None:
    """Put an import after the last one, anything else at the end."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    imports = [number for number, text in enumerate(lines, start=1) if text.startswith("from ")]
    lines.insert(imports[-1] if line.startswith("from ") else len(lines), line)
    file.write_text("".join(lines), encoding="utf-8")


@pytest.mark.execution
@pytest.mark.parametrize(("database", "auth"), [("sqlite", "jwt"), ("postgres", "none"), ("postgres", "oidc")])
def test_a_module_is_eight_new_files_and_two_edited_lines(
    database: str, auth: str, render: Callable[[Answers], Path], tmp_path: Path
) -> None:
    rendered = render({"database": database, "auth": auth})
    project = Path(shutil.copytree(rendered, tmp_path / "project"))
    walk = list(blocks(section((project / "CONTRIBUTING.md").read_text(encoding="utf-8"), "## Add a module")))
    assert walk[-1].commands() == ["uv run just check"]

    for block in walk:
        follow(block, project)

    written = {Path(block.title) for block in walk if block.title} - set(files(rendered))
    migrations = {file for file in set(files(project)) - set(files(rendered)) if file.match("alembic/versions/*.py")}
    assert len(written) == NEW_FILES
    assert len(migrations) == 1
    changed = [file for file in files(rendered) if (project / file).read_bytes() != (rendered / file).read_bytes()]
    before, after = ((tree / "app/api.py").read_text(encoding="utf-8").splitlines() for tree in (rendered, project))
    assert changed == [Path("app/api.py")]
    assert len(after) == len(before) + EDITED_LINES
    assert set(before) < set(after)
