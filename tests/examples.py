"""The committed examples: `just examples` renders them again.

Their diff shows the effect of a template change on projects, which helps in reviews.
"""

import re
import shutil
import tempfile
from pathlib import Path

import typer
import yaml

from tests.rendering import ROOT, render, snapshot

EXAMPLES = ROOT / "examples"
SOURCE = "gh:copier-fastapi/copier-fastapi"


def names() -> list[str]:
    """Return the names of the examples; each has an answers file."""
    return sorted(file.stem for file in EXAMPLES.glob("*.yml"))


def render_example(name: str, template: Path, folder: Path) -> Path:
    """Render an example, and record the published source of the template, without a version."""
    answers = yaml.safe_load((EXAMPLES / f"{name}.yml").read_text(encoding="utf-8"))
    answers_file = render(template, folder, answers) / ".copier-answers.yml"
    text = re.sub(
        r"^_src_path: .*$", f"_src_path: {SOURCE}", answers_file.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    answers_file.write_text(text, encoding="utf-8")
    return folder


def render_all() -> None:
    """Replace every example with a new render."""
    with tempfile.TemporaryDirectory() as name:
        template = snapshot(Path(name))
        for example in names():
            shutil.rmtree(EXAMPLES / example, ignore_errors=True)
            render_example(example, template, EXAMPLES / example)
            typer.echo(f"rendered: examples/{example}")


if __name__ == "__main__":
    typer.run(render_all)
