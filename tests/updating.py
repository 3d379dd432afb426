"""Create and update projects with the commands of Copier and git, as users do."""

import os
import re
import sys
from pathlib import Path

import yaml

from tests.matrix.processes import run, scratch
from tests.releases import commit, git, version_key
from tests.rendering import ROOT, Answers, recorded_answers

NEXT = "999.0.0"
"""The version of the working tree, in tests that use it as the next release."""

NEVER_UPDATED = {"README.md", "CHANGELOG.md", "ROADMAP.md", "alembic/versions/0001_initial.py"}
"""Files that are only rendered for new projects (`_skip_if_exists`)."""

MARKER = re.compile(r"^(<{7}|>{7}|\|{7})( |$)", re.MULTILINE)
ISOLATED = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def copier(folder: Path, *arguments: str, timeout: float = 300) -> str:
    """Run the `copier` command, and return its output; see `tests.fast_copier`.

    Raises:
        StepError: If it fails.
    """
    settings = Path(scratch(folder), "settings.yml")  # no user defaults and no trusted templates
    settings.write_text("{}", encoding="utf-8")
    isolated = {**ISOLATED, "COPIER_SETTINGS_PATH": str(settings), "PYTHONPATH": str(ROOT)}
    return run(folder, sys.executable, "-P", "-m", "tests.fast_copier", *arguments, timeout=timeout, **isolated)


def begin(template: Path, folder: Path, answers: Answers, version: str) -> Path:
    """Create a project from a version of the template, and commit it.

    Raises:
        StepError: If Copier fails.
        AssertionError: If the recorded answers differ from the given ones.
    """
    file = folder.with_suffix(".yml")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(dict(answers)), encoding="utf-8")
    copier(
        file.parent,
        *("copy", "--defaults", "--vcs-ref", version, "--data-file", str(file), str(template), str(folder)),
    )
    recorded = recorded_answers(folder)
    assert {name: recorded.get(name) for name in answers} == dict(answers)
    commit(folder, f"Start with {version}")
    return folder


def copier_update(folder: Path, *arguments: str) -> str:
    """Run `copier update`, and return its output. Updates to 0.3.0, which moves files, need the user's trust.

    Raises:
        StepError: If Copier fails.
    """
    moves_files = version_key(str(recorded_answers(folder)["_commit"])) < version_key("0.3.0")
    return copier(folder, "update", "--defaults", *(["--trust"] if moves_files else []), *arguments)


def update(folder: Path, *arguments: str, **answers: object) -> str:
    """Update to the newest version of the template, and change the given answers.

    Raises:
        StepError: If Copier fails.
        AssertionError: If there are conflicts; Copier does not report those as an error.
    """
    output = copier_update(folder, *arguments, *data(**answers))
    left = conflicts(folder)
    assert not left, f"conflicts in {left}"
    return output


def data(**answers: object) -> list[str]:
    """Return answers as command-line options."""
    spelled = {name: str(answer).lower() if isinstance(answer, bool) else answer for name, answer in answers.items()}
    return [part for name, answer in spelled.items() for part in ("--data", f"{name}={answer}")]


def switch(folder: Path, **answers: object) -> str:
    """Change answers without changing the version of the template, and commit."""
    output = update(folder, "--vcs-ref", ":current:", **answers)
    commit(folder, f"Switch to {answers}")
    return output


def conflicts(folder: Path) -> list[str]:
    """Return what an update could not merge: unmerged files, files with conflict markers, and rejected parts."""
    unmerged = git(folder, "diff", "--name-only", "--diff-filter=U").splitlines()
    listed = git(folder, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    rejected = [path.relative_to(folder).as_posix() for path in folder.rglob("*.rej")]
    marked = [name for name in listed if (folder / name).is_file() and MARKER.search(_text(folder / name))]
    return sorted({*unmerged, *marked, *rejected})


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def tree(folder: Path) -> dict[str, bytes]:
    """Return the content of every file that git does not ignore, without the answers file."""
    listed = git(folder, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    present = (name for name in listed if name != ".copier-answers.yml" and (folder / name).is_file())
    return {name: (folder / name).read_bytes() for name in present}
