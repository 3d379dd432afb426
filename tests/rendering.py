"""Render the template like a user, with Copier's public API and without trust."""

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import copier
import yaml

ROOT = Path(__file__).parents[1]
PARTS = ("CHANGELOG.md", "copier.yml", "extensions", "migrations", "template")
"""The files that Copier reads. It renders `template/`; the messages after an update quote the changelog."""

Answers = Mapping[str, object]


def tracked(*options: str) -> list[Path]:
    """Return the tracked files of the template, relative to the root of this repository."""
    command = ["git", "ls-files", "-z", *options, "--", *PARTS]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in sorted(filter(None, listed.split("\0"))) if (ROOT / name).is_file()]


def working_tree() -> list[Path]:
    """Return the files of the template, tracked or not, without ignored files."""
    return tracked("--cached", "--others", "--exclude-standard")


def snapshot(folder: Path, files: Iterable[Path] | None = None) -> Path:
    """Copy the template into a folder without git, from which Copier renders without a version and without a clone.

    Args:
        folder: The target folder.
        files: The files to copy, by default those of the working tree.
    """
    for file in working_tree() if files is None else files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, folder / file)
    return folder


def render(template: Path, project: Path, answers: Answers) -> Path:
    """Render a project; other questions take their defaults.

    Raises:
        ValueError: If an answer is invalid.
        AssertionError: If the recorded answers differ from the given ones, because Copier ignores unknown questions.
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
    questions = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
    # A question that is irrelevant for the other answers is neither asked nor recorded.
    expected = {
        name: answer for name, answer in answers.items() if name in recorded or "when" not in questions.get(name, {})
    }
    assert {name: recorded.get(name) for name in expected} == expected
    return project


def recorded_answers(project: Path) -> dict[str, object]:
    """Read the answers file of a project."""
    return yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
