"""Rendering the template as a user does: through Copier's public interface, and without trust."""

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import copier
import yaml

ROOT = Path(__file__).parents[1]
PARTS = ("CHANGELOG.md", "copier.yml", "extensions", "migrations", "template")
"""What Copier reads: it renders `template/`, and the messages after an update quote the changelog."""

Answers = Mapping[str, object]


def tracked(*options: str) -> list[Path]:
    """List the files of the template that git knows of, relative to the root of this repository."""
    command = ["git", "ls-files", "-z", *options, "--", *PARTS]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in sorted(filter(None, listed.split("\0"))) if (ROOT / name).is_file()]


def working_tree() -> list[Path]:
    """List what the template would consist of if everything were committed now: no caches, no ignored files."""
    return tracked("--cached", "--others", "--exclude-standard")


def snapshot(folder: Path, files: Iterable[Path] | None = None) -> Path:
    """Copy the template into a plain folder, from which Copier renders without a version and without a clone.

    Args:
        folder: Where to.
        files: Which files; the working tree's if not given.
    """
    for file in working_tree() if files is None else files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, folder / file)
    return folder


def render(template: Path, project: Path, answers: Answers) -> Path:
    """Render a project; what is not answered takes its default.

    Raises:
        ValueError: If an answer is refused.
        AssertionError: If Copier has recorded anything but what was answered; it ignores unknown questions.
    """
    copier.run_copy(
        str(template),
        project,
        data=dict(answers),
        defaults=True,
        unsafe=False,
        quiet=True,
        settings=copier.Settings(),
    )
    recorded = recorded_answers(project)
    asked = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
    # A question that makes no sense with the other answers is not asked, and not recorded: it has its default.
    unasked = {
        name: asked[name]["default"] for name in answers if name not in recorded and "when" in asked.get(name, {})
    }
    assert {name: {**unasked, **recorded}.get(name) for name in answers} == dict(answers)
    return project


def recorded_answers(project: Path) -> dict[str, object]:
    """Read the answers file of a project."""
    return yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
