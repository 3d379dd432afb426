"""The committed examples: `just examples` renders them anew.

What changes in them is what a change of the template means for its users, so a review can begin there.
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
    """Return the examples: one answers file each."""
    return sorted(file.stem for file in EXAMPLES.glob("*.yml"))


def render_example(name: str, template: Path, folder: Path) -> Path:
    """Render an example as if it came from where the template is published, at no particular version."""
    answers = yaml.safe_load((EXAMPLES / f"{name}.yml").read_text(encoding="utf-8"))
    recorded = render(template, folder, answers) / ".copier-answers.yml"
    text = re.sub(r"^_src_path: .*$", f"_src_path: {SOURCE}", recorded.read_text(encoding="utf-8"), flags=re.MULTILINE)
    recorded.write_text(text, encoding="utf-8")
    return folder


def renew() -> None:
    """Render every example into its folder; what was there goes."""
    with tempfile.TemporaryDirectory() as name:
        template = snapshot(Path(name))
        for example in names():
            shutil.rmtree(EXAMPLES / example, ignore_errors=True)
            render_example(example, template, EXAMPLES / example)
            typer.echo(f"rendered: examples/{example}")


if __name__ == "__main__":
    typer.run(renew)
