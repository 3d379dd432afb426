"""Execute the steps of the guides in a rendered project."""

from pathlib import Path

from tests.markdown import Block, blocks, section
from tests.matrix.processes import run


def module_guide_steps(project: Path) -> list[Block]:
    """Return the steps of "Add a module", which is a section of CONTRIBUTING.md before version 0.3.0."""
    page = project / "docs/add-a-module.md"
    if page.exists():
        return list(blocks(page.read_text(encoding="utf-8")))
    return list(blocks(section((project / "CONTRIBUTING.md").read_text(encoding="utf-8"), "## Add a module")))


def execute_step(block: Block, project: Path) -> None:
    """Run the commands of a step, or write its file."""
    if block.language == "console":
        for command in block.commands():
            run(project, "bash", "-c", command)
    elif block.title in {"app/api.py", "app/features.py"}:
        insert_line(project / block.title, block.body)
    else:
        (project / block.title).parent.mkdir(parents=True, exist_ok=True)
        (project / block.title).write_text(block.body, encoding="utf-8")


def insert_line(file: Path, line: str) -> None:
    """Insert a line below the comment that marks its place."""
    place = "import them below this line" if line.startswith("from ") else "include their routes below this one"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    (number,) = (number for number, text in enumerate(lines, start=1) if place in text)
    lines.insert(number, line)
    file.write_text("".join(lines), encoding="utf-8")
