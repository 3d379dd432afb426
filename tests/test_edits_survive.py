"""Edits at least one line away from changes of the template never conflict and are never lost.

Git treats changes of adjacent lines as a conflict. Updates are slow, so there are few, each with dozens of random edits.
"""

import difflib
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.vendor.pretty import RepresentationPrinter

from tests.questionnaire import config
from tests.releases import commit, released
from tests.rendering import Answers
from tests.updating import NEXT, begin, conflicts, copier, copier_update, tree

pytestmark = pytest.mark.complete

EXAMPLE_MARKER = "app/modules/todo/__init__.py"
BuildOnce = Callable[[str, Callable[[Path], object]], Path]
Lines = list[bytes]

CHANGED = "999.1.0"
"""A version that changes many files; the next release may differ little from the last one."""

CASES: dict[str, Answers] = {
    "default": {},
    "small": {"auth": "none", "example": False},
    "postgres-oidc": {"database": "postgres", "auth": "oidc"},
}
EXAMPLES = 2
CLOSE = 4  # lines to the next change

# A line of text: no line break, and nothing that would make the file binary.
LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\0"), max_size=30)
NAME = st.text(
    st.characters(categories=["L", "N", "So"], include_characters=" '#&()+,;=@[]{}~!$%-_."), min_size=1, max_size=20
)
CONTENT = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\n", b"no end", b"one\r\ntwo\r\n", b"\0\1\2", b"\xef\xbb\xbfmark\n", b"======= mine\n"]),
    LINE.map(str.encode),
)
FOLDERS = ["", "app", "app/modules", "app/core", "template", "docs/a folder", "extensions", ".github", "tests/ä/ö"]


@dataclass(frozen=True)
class Place:
    """A place in a file: a line that is replaced, or before which text is inserted."""

    file: str
    line: int
    replaces: bool


@dataclass
class Edits:
    """The edits of a project: replaced and inserted lines, deleted files and added files."""

    replacements: dict[Place, bytes] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    added: dict[str, bytes] = field(default_factory=dict)

    def _repr_pretty_(self, printer: RepresentationPrinter, _: bool) -> None:
        """Show a summary; failures list the differences by file."""
        printer.text(f"{len(self.replacements)} edits, deleted {self.deleted}, added {list(self.added)}")

    def apply_to(self, name: str, lines: Lines, moved: Callable[[int], int] = lambda line: line) -> bytes:
        """Return an edited file.

        Args:
            name: The path of the file.
            lines: The lines of the file.
            moved: Returns the new number of a line.
        """
        before: dict[int, Lines] = {}
        lines = list(lines)
        for place, text in self.replacements.items():
            if place.file == name and place.replaces:
                lines[moved(place.line)] = text
            elif place.file == name:
                before.setdefault(moved(place.line), []).append(text)
        ends = enumerate([*lines, b""])
        return b"".join(part for number, line in ends for part in (*before.get(number, []), line))


@dataclass(frozen=True)
class Hunk:
    """Consecutive changed lines of the old version, and how many lines the new version adds."""

    start: int
    end: int
    growth: int

    def near(self, place: Place, distance: int = 0) -> bool:
        """Return whether a place is at most a number of lines away from the changed lines."""
        last = place.line + 1 if place.replaces else place.line
        return self.start - distance <= last and place.line <= self.end + distance


@dataclass(frozen=True)
class VersionPair:
    """A project rendered by two versions of the template."""

    before: Path
    after: Path

    @cached_property
    def old(self) -> dict[str, bytes]:
        """The files of the older version."""
        return tree(self.before)

    @cached_property
    def new(self) -> dict[str, bytes]:
        """The files of the newer version."""
        return tree(self.after)

    @cached_property
    def never_updated(self) -> set[str]:
        """The files that updates do not change."""
        patterns = config()["_skip_if_exists"]
        return {name for name in self.old if any(Path(name).match(pattern) for pattern in patterns)}

    @cached_property
    def new_names(self) -> dict[str, str]:
        """The names of the files of the older version in the newer one, which may have moved them."""
        commands = [migration["command"] for migration in config()["_migrations"]]
        moves = dict(part.split(":", 1) for command in commands for part in command if ".py:" in part or ".md:" in part)
        names = {name: name if name in self.new else moves.get(name, "") for name in self.old}
        return {name: new_name for name, new_name in names.items() if new_name in self.new}

    @cached_property
    def hunks(self) -> dict[str, list[Hunk]]:
        """The changes of each file that both versions have."""
        return {
            name: [] if name in self.never_updated else list(hunks(self.old[name], self.new[new_name]))
            for name, new_name in sorted(self.new_names.items())
        }

    @cached_property
    def editable_places(self) -> list[Place]:
        """All places that are at least one line away from a change."""
        found = []
        for name, changes in self.hunks.items():
            for line in range(len(split(self.old[name])) + 1):
                for place in (Place(name, line, replaces=False), Place(name, line, replaces=True)):
                    inside = line < len(split(self.old[name])) or not place.replaces
                    if inside and not any(hunk.near(place) for hunk in changes):
                        found.append(place)
        return found

    @cached_property
    def close_places(self) -> list[Place]:
        """The editable places that are close to a change."""
        return [
            place for place in self.editable_places if any(hunk.near(place, CLOSE) for hunk in self.hunks[place.file])
        ]

    def moved(self, name: str) -> Callable[[int], int]:
        """Return a function that maps a line number of the old version to the new one."""
        return lambda line: line + sum(hunk.growth for hunk in self.hunks[name] if hunk.end <= line)

    def expected(self, edits: Edits) -> dict[str, bytes]:
        """Return the expected files after an update."""
        start = {**self.new, **{name: self.old[name] for name in self.never_updated}}
        for name in {place.file for place in edits.replacements}:
            moved = (lambda line: line) if name in self.never_updated else self.moved(name)
            new_name = self.new_names[name]
            start[new_name] = edits.apply_to(name, split(start[new_name]), moved)
        deleted = {self.new_names.get(name) for name in edits.deleted}
        return {**{name: content for name, content in start.items() if name not in deleted}, **edits.added}


def split(content: bytes) -> Lines:
    """Split a file into lines like git, at newlines only."""
    return re.findall(rb"[^\n]*\n|[^\n]+", content)


def hunks(old: bytes, new: bytes) -> Iterator[Hunk]:
    """Yield the changed lines according to git."""
    if old == new:
        return
    with TemporaryDirectory() as name:
        for version, content in (("old", old), ("new", new)):
            Path(name, version).write_bytes(content)
        command = ["git", "diff", "--no-index", "--unified=0", "--no-indent-heuristic", "old", "new"]
        text = subprocess.run(command, cwd=name, capture_output=True, check=False).stdout.decode()
    for start, length, grown in re.findall(r"^@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@", text, re.MULTILINE):
        size = int(length or 1)
        first = int(start) - (1 if size else 0)  # git counts from one, and reports the line above an insertion
        yield Hunk(first, first + size, int(grown or 1) - size)


def change_many_files(folder: Path) -> None:
    """Change lines in every second file, insert lines in every third, and delete lines in every fifth."""
    files = sorted(path for path in (folder / "template").rglob("*") if path.is_file())
    for number, file in enumerate(files):
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        plain = [line for line, text in enumerate(lines) if text.strip() and not re.search(r"[{}]", text)]
        if number % 2 == 0 and plain:
            lines[plain[len(plain) // 2]] = f"# changed in the middle of {number}\n"
        if number % 3 == 0 and plain:
            lines[plain[len(plain) // 4]] += f"# added to {number}\n\n# and more\n"
        if number % 5 == 0 and len(plain) > 3:
            lines[plain[-2]] = ""
        file.write_text("".join(lines), encoding="utf-8")
    (folder / "template/app/added_by_template.py").write_text('"""New."""\n', encoding="utf-8")
    commit(folder, "Change many files", tag=CHANGED)


@pytest.fixture(scope="module")
def template_with_changes(history: Path, once: BuildOnce) -> Path:
    """The template, with an additional version that changes many files."""

    def build(folder: Path) -> None:
        shutil.copytree(history, folder)
        change_many_files(folder)

    return once("changing", build)


@pytest.fixture(scope="module", params=[("default", NEXT), *((case, CHANGED) for case in CASES)], ids="-".join)
def pair(request: pytest.FixtureRequest, template_with_changes: Path, once: BuildOnce) -> tuple[VersionPair, str]:
    """A project rendered by the oldest release and by a newer version, and the newer version."""
    case, version = request.param

    def fresh(version: str) -> Path:
        return once(
            f"survive-{case}-{version}", lambda folder: begin(template_with_changes, folder, CASES[case], version)
        )

    return VersionPair(fresh(released()[0]), fresh(version)), version


@st.composite
def edit_sets(draw: st.DrawFn, pair: VersionPair) -> Edits:
    """Draw random edits; every inserted line is unique."""
    # Without the marker, the update treats the whole example as deleted: see `live_feed` in copier.yml.
    deletable = sorted(pair.old.keys() - pair.never_updated - {EXAMPLE_MARKER})
    deleted = draw(st.lists(st.sampled_from(deletable), min_size=2, max_size=4, unique=True))
    close_places = draw(st.lists(st.sampled_from(pair.close_places), min_size=30, max_size=50))
    anywhere = draw(st.lists(st.sampled_from(pair.editable_places), min_size=20, max_size=30))
    editable_places = sorted({place for place in (*close_places, *anywhere) if place.file not in deleted}, key=repr)
    replacements = {place: f"mine {number} {draw(LINE)}\n".encode() for number, place in enumerate(editable_places)}
    names = draw(st.lists(st.tuples(st.sampled_from(FOLDERS), NAME, CONTENT), min_size=5, max_size=8))
    added = {
        f"{folder}/own {name} {number}".strip("/"): content for number, (folder, name, content) in enumerate(names)
    }
    return Edits(replacements, deleted, added)


def apply_edits(edits: Edits, pair: VersionPair, project: Path) -> None:
    """Apply edits to the files of a project."""
    for name in {place.file for place in edits.replacements}:
        (project / name).write_bytes(edits.apply_to(name, split(pair.old[name])))
    for name in edits.deleted:
        (project / name).unlink()
    for name, content in edits.added.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_bytes(content)


def differences(expected: dict[str, bytes], found: dict[str, bytes]) -> str:
    """Return a diff between the expected files and the files found."""
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    shown = []
    for name in wrong:
        old, new = (
            str(side.get(name, b"(no such file)"), "utf-8", "replace").split("\n") for side in (expected, found)
        )
        shown += difflib.unified_diff(old, new, f"{name} (expected)", f"{name} (found)", lineterm="", n=4)
    return "\n".join(shown)


def files(project: Path) -> dict[str, bytes]:
    """Return the content of every file, including those that git ignores."""
    paths = (path for path in project.rglob("*") if path.is_file() and ".git" not in path.relative_to(project).parts)
    found = {path.relative_to(project).as_posix(): path.read_bytes() for path in paths}
    del found[".copier-answers.yml"]
    return found


# No shrinking, because each attempt needs an update; failures show a diff instead.
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(data=st.data())
def test_edits_one_line_from_changes_are_kept(pair: tuple[VersionPair, str], data: st.DataObject) -> None:
    versions, newer = pair
    edits = data.draw(edit_sets(versions))
    with TemporaryDirectory() as name:
        folder = shutil.copytree(versions.before, Path(name, "project"))
        apply_edits(edits, versions, folder)
        commit(folder, "Work")
        copier_update(folder, "--vcs-ref", newer)
        wrong = differences(versions.expected(edits), files(folder))
        assert not wrong, wrong
        assert conflicts(folder) == []


def test_versions_differ_enough(pair: tuple[VersionPair, str]) -> None:
    """Otherwise the test above would prove nothing."""
    versions, newer = pair
    changed = [name for name, hunks in versions.hunks.items() if hunks]
    assert len(changed) > (40 if newer == CHANGED else 0)
    assert len(versions.close_places) > 100
    assert len(versions.editable_places) > 5000


BODY = "".join(f"    line {number}\n" for number in range(1, 10))


@pytest.fixture(scope="module", params=[(), ("--context-lines", "100")], ids=["three", "hundred"])
def limit_project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bool]:
    """A project after an update that reaches the limits of Copier, and whether more context lines were requested."""
    folder = tmp_path_factory.mktemp("limits")
    template = folder / "template"
    source = template / "template"
    source.mkdir(parents=True)
    (template / "copier.yml").write_text("_subdirectory: template\n", encoding="utf-8")
    (source / "{{ _copier_conf.answers_file }}.jinja").write_text("{{ _copier_answers|to_nice_yaml -}}\n")
    (source / "code.py").write_text(f"def old():\n{BODY}# end\n", encoding="utf-8")
    (source / "logo").write_text("of one\n", encoding="utf-8")
    commit(template, "One", tag="1.0.0")
    (source / "code.py").write_text(f"def new():\n{BODY}def old():\n{BODY}# end\n", encoding="utf-8")
    (source / "logo").write_text("of two\n", encoding="utf-8")
    commit(template, "Two", tag="2.0.0")

    project = begin(template, folder / "project", {}, "1.0.0")
    code = project / "code.py"
    code.write_text(code.read_text(encoding="utf-8").replace("line 5\n", "line 5\n    mine\n"), encoding="utf-8")
    (project / "logo").write_bytes(b"\0mine")
    commit(project, "Work")
    copier(project, "update", "--defaults", *request.param)
    assert conflicts(project) == []
    return project, bool(request.param)


def test_repeated_lines_need_more_context(limit_project: tuple[Path, bool]) -> None:
    """By default, Copier applies an edit by the three lines around it, near its old place.

    With more context lines than the file has, git merges whole files instead, and finds the right place.
    """
    project, more = limit_project
    above = (project / "code.py").read_text(encoding="utf-8").partition("    mine\n")[0]
    assert re.findall("^def .*", above, re.MULTILINE)[-1] == ("def old():" if more else "def new():")


def test_binary_file_is_overwritten(limit_project: tuple[Path, bool]) -> None:
    assert (limit_project[0] / "logo").read_bytes() == b"of two\n"
