"""A project that a later version of the template waits for, and what docs/how-to/update.md says to do when it does not go."""

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
"""A line of the license: as it was, as the team has it, and as the later version has it."""
SOURCE = "gh:copier-fastapi/copier-fastapi"
PEOPLE = {f"GIT_{role}_{what}": "test" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def replace(file: Path, old: str, new: str) -> None:
    """Change a text that stands in a file once."""
    text = file.read_bytes().decode()
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
    file.write_bytes(text.replace(old, new).encode())


def prepare(folder: Path, history: Path) -> None:
    """Release a later version of the template, and begin a project that does not have it yet."""
    template = Path(shutil.copytree(history, folder / "template"))
    replace(template / "template/LICENSE.jinja", f"the Software {OLD}", f"the Software {THEIRS}")
    (template / "template/docs/queue.md").write_text("Theirs\n", encoding="utf-8")
    commit(template, "Change", LATER)
    begin(template, folder / "project", SMALL, NEXT)


@dataclass(frozen=True)
class Project:
    """A project at NEXT, under version control; its template has LATER."""

    folder: Path
    template: Path

    @classmethod
    def begin(cls, once: Callable[[str, Callable[[Path], object]], Path], history: Path, folder: Path) -> "Project":
        """Copy the project that all tests share; the template is theirs too, and not to be changed."""
        shared = once("trouble", lambda place: prepare(place, history))
        for name in ("project", "project.yml"):
            copy = shutil.copytree if (shared / name).is_dir() else shutil.copy
            copy(shared / name, folder / name)
        return cls(folder / "project", shared / "template")

    def from_copy(self) -> Path:
        """Give the project a template of its own, which may be changed."""
        template = Path(shutil.copytree(self.template, self.folder.with_name("template")))
        self.answer("_src_path", f"_src_path: {template}\n")
        return template

    def edit(self, name: str, old: str, new: str, *, save: bool = True) -> None:
        """Change a file."""
        replace(self.folder / name, old, new)
        if save:
            self.save()

    def write(self, name: str, text: str, *, save: bool = True) -> None:
        """Add a file."""
        (self.folder / name).write_text(text, encoding="utf-8")
        if save:
            self.save()

    def read(self, name: str) -> str:
        """Return what stands in a file."""
        return (self.folder / name).read_text(encoding="utf-8")

    def answer(self, line: str, other: str) -> None:
        """Edit the answers file by hand, and commit: the line that begins so."""
        text = re.sub(rf"^{line}.*\n", other, self.read(".copier-answers.yml"), flags=re.MULTILINE)
        self.write(".copier-answers.yml", text)

    def save(self) -> None:
        """Commit."""
        commit(self.folder, "Work")

    def git(self, *command: str) -> str:
        """Run git."""
        return git(self.folder, *command)

    @property
    def changes(self) -> list[str]:
        """What is not committed."""
        return git(self.folder, "status", "--porcelain", "--untracked-files=all").splitlines()

    @property
    def version(self) -> object:
        """Which version of the template it says it has."""
        return recorded_answers(self.folder)["_commit"]

    def update(self, *options: str) -> str:
        """Update, and have it end well."""
        return copier(self.folder, "update", "--defaults", *options)

    def refuses(self, *command: str, shown: str, code: int = 1) -> None:
        """Be refused with a message that the guide has too, and find that nothing has changed."""
        before = self.changes
        with pytest.raises(StepError) as refused:
            copier(self.folder, *(command or ("update", "--defaults")))
        assert shown in str(refused.value)
        assert shown in GUIDE.read_text(encoding="utf-8"), f"{GUIDE.name} does not say what this means: {shown}"
        assert refused.value.code == code
        assert self.changes == before

    def follows(self, heading: str, number: int | None = None, instead: Mapping[str, str] | None = None) -> str:
        """Type what the guide says below a heading: all its console blocks, or one of them.

        Args:
            heading: The heading.
            number: Which block.
            instead: What to type for other words than these.
        """
        text = section(GUIDE.read_text(encoding="utf-8"), heading)
        consoles = [block.commands() for block in blocks(text) if block.language == "console"]
        commands = consoles[number] if number is not None else [command for console in consoles for command in console]
        known = {
            "uvx copier copy": f"uvx copier copy --defaults --data-file {self.folder.with_suffix('.yml')}",
            "--vcs-ref 0.1.0": f"--vcs-ref {NEXT}",
            "uvx copier": f"{sys.executable} -m copier",
            SOURCE: str(self.template),
            **(instead or {}),
        }
        typed = "\n".join(commands)
        for what, other in known.items():
            typed = typed.replace(what, other)
        settings = Path(scratch(self.folder), "settings.yml")
        settings.write_text("{}", encoding="utf-8")
        isolated = {**ISOLATED, **PEOPLE, "COPIER_SETTINGS_PATH": str(settings)}
        return run(self.folder, "bash", "-ec", typed, timeout=120, **isolated)
