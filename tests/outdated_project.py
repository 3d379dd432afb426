"""A project whose template has a newer version, and the commands of docs/how-to/update.md."""

import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.markdown import blocks, section
from tests.matrix.processes import StepError, run, scratch
from tests.releases import commit, git
from tests.rendering import ROOT, recorded_answers
from tests.updating import ISOLATED, NEXT, begin, copier

GUIDE = ROOT / "docs/how-to/update.md"
SMALL = {"auth": "none", "example": False, "docs_site": False}
LATER = "999.1.0"
OLD, OURS, THEIRS = "without restriction", "with few restrictions", "with no restriction"
"""A line of the license: the original, the user's edit, and the text of the later version."""
SOURCE = "gh:copier-fastapi/copier-fastapi"
IDENTITY = {f"GIT_{role}_{what}": "test" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def replace_once(file: Path, old: str, new: str) -> None:
    """Replace a text that occurs exactly once in a file."""
    text = file.read_bytes().decode()
    assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times in {file}"
    file.write_bytes(text.replace(old, new).encode())


def prepare(folder: Path, history: Path) -> None:
    """Release a later version of the template, and create a project from the version before it."""
    template = Path(shutil.copytree(history, folder / "template"))
    replace_once(template / "template/LICENSE.jinja", f"the Software {OLD}", f"the Software {THEIRS}")
    (template / "template/docs/queue.md").write_text("Theirs\n", encoding="utf-8")
    commit(template, "Change", LATER)
    begin(template, folder / "project", SMALL, NEXT)


@dataclass(frozen=True)
class OutdatedProject:
    """A committed project of version NEXT, whose template has the version LATER."""

    folder: Path
    template: Path

    @classmethod
    def create(
        cls, once: Callable[[str, Callable[[Path], object]], Path], history: Path, folder: Path
    ) -> "OutdatedProject":
        """Copy the shared project. The template is shared as well and must not be changed."""
        shared = once("outdated-project", lambda folder: prepare(folder, history))
        for name in ("project", "project.yml"):
            copy = shutil.copytree if (shared / name).is_dir() else shutil.copy
            copy(shared / name, folder / name)
        return cls(folder / "project", shared / "template")

    def copy_template(self) -> Path:
        """Give the project a copy of the template that may be changed."""
        template = Path(shutil.copytree(self.template, self.folder.with_name("template")))
        self.edit_answer("_src_path", f"_src_path: {template}\n")
        return template

    def edit(self, name: str, old: str, new: str, *, commit: bool = True) -> None:
        """Replace a text in a file."""
        replace_once(self.folder / name, old, new)
        if commit:
            self.commit()

    def write(self, name: str, text: str, *, commit: bool = True) -> None:
        """Add a file."""
        (self.folder / name).write_text(text, encoding="utf-8")
        if commit:
            self.commit()

    def read(self, name: str) -> str:
        """Return the content of a file."""
        return (self.folder / name).read_text(encoding="utf-8")

    def edit_answer(self, name: str, new: str) -> None:
        """Replace a line of the answers file, and commit."""
        text = re.sub(rf"^{name}.*\n", new, self.read(".copier-answers.yml"), flags=re.MULTILINE)
        self.write(".copier-answers.yml", text)

    def commit(self) -> None:
        """Commit all changes."""
        commit(self.folder, "Work")

    def git(self, *command: str) -> str:
        return git(self.folder, *command)

    @property
    def changes(self) -> list[str]:
        """The uncommitted changes, in the format of `git status --porcelain`."""
        return git(self.folder, "status", "--porcelain", "--untracked-files=all").splitlines()

    @property
    def version(self) -> object:
        """The recorded version of the template."""
        return recorded_answers(self.folder)["_commit"]

    def update(self, *options: str) -> str:
        """Update with default answers."""
        return copier(self.folder, "update", "--defaults", *options)

    def expect_error(self, *command: str, shown: str, code: int = 1) -> None:
        """Expect an error whose message the guide explains, and no changes."""
        before = self.changes
        with pytest.raises(StepError) as error:
            copier(self.folder, *(command or ("update", "--defaults")))
        assert shown in str(error.value)
        assert shown in GUIDE.read_text(encoding="utf-8"), f"{GUIDE.name} does not explain this message: {shown}"
        assert error.value.code == code
        assert self.changes == before

    def run_guide(self, heading: str, number: int | None = None, substitutions: Mapping[str, str] | None = None) -> str:
        """Run the commands below a heading of the guide, and return their output.

        Args:
            heading: The heading.
            number: The index of the console block; by default all blocks are run.
            substitutions: Texts of the commands, and what to run instead.
        """
        text = section(GUIDE.read_text(encoding="utf-8"), heading)
        consoles = [block.commands() for block in blocks(text) if block.language == "console"]
        commands = consoles[number] if number is not None else [command for console in consoles for command in console]
        replacements = {
            "uvx copier copy": f"uvx copier copy --defaults --data-file {self.folder.with_suffix('.yml')}",
            "--vcs-ref 0.1.0": f"--vcs-ref {NEXT}",
            "uvx copier": f"{sys.executable} -m copier",
            SOURCE: str(self.template),
            **(substitutions or {}),
        }
        script = "\n".join(commands)
        for old, new in replacements.items():
            script = script.replace(old, new)
        settings = Path(scratch(self.folder), "settings.yml")
        settings.write_text("{}", encoding="utf-8")
        isolated = {**ISOLATED, **IDENTITY, "COPIER_SETTINGS_PATH": str(settings)}
        return run(self.folder, "bash", "-ec", script, timeout=120, **isolated)
