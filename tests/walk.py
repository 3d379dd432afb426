"""What a project's own guides tell people to type, and how to follow it to the letter."""

from pathlib import Path

from tests.markdown import Block, blocks, section
from tests.matrix.processes import run


def walk(project: Path) -> list[Block]:
    """Return what "Add a module" of a project's CONTRIBUTING.md says, step by step."""
    return list(blocks(section((project / "CONTRIBUTING.md").read_text(encoding="utf-8"), "## Add a module")))


def follow(block: Block, project: Path) -> None:
    """Do what one step says."""
    if block.language == "console":
        for command in block.commands():
            run(project, "bash", "-c", command)
    elif block.title in {"app/api.py", "app/features.py"}:
        add_line(project / block.title, block.body)
    else:
        (project / block.title).parent.mkdir(parents=True, exist_ok=True)
        (project / block.title).write_text(block.body, encoding="utf-8")


def add_line(file: Path, line: str) -> None:
    """Put a line below the comment that asks for it."""
    place = "import them below this line" if line.startswith("from ") else "include their routes below this one"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    (number,) = (number for number, text in enumerate(lines, start=1) if place in text)
    lines.insert(number, line)
    file.write_text("".join(lines), encoding="utf-8")
