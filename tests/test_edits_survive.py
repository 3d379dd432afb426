"""Edits that keep a line away from what the template changes never conflict and are never lost.

A line away, because git takes neighbouring changes for a conflict. A few updates, each with dozens of edits at once.
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
from tests.updating import NEXT, begin, conflicts, copier, tree

pytestmark = pytest.mark.complete

Once = Callable[[str, Callable[[Path], object]], Path]
Lines = list[bytes]

CHANGED = "999.1.0"
"""A version that differs in many files; the one to come may hardly differ from the last."""

CASES: dict[str, Answers] = {
    "default": {},
    "small": {"auth": "none", "example": False},
    "postgres-oidc": {"database": "postgres", "auth": "oidc"},
}
EXAMPLES = 2
CLOSE = 4  # lines

# A line of a person: anything but what would end it, or make the file something that is not text.
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
    """Somewhere in a file: the line that is replaced, or before which something is written."""

    file: str
    line: int
    replaces: bool


@dataclass
class Work:
    """What somebody does to a project."""

    edits: dict[Place, bytes] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    own: dict[str, bytes] = field(default_factory=dict)

    def _repr_pretty_(self, printer: RepresentationPrinter, _: bool) -> None:
        """Be short: what is not as expected is shown, file by file."""
        printer.text(f"{len(self.edits)} edits, deleted {self.deleted}, added {list(self.own)}")

    def applied(self, name: str, lines: Lines, moved: Callable[[int], int] = lambda line: line) -> bytes:
        """Return a file with its edits.

        Args:
            name: Which file.
            lines: What it consists of.
            moved: Where a line is now.
        """
        before: dict[int, Lines] = {}
        lines = list(lines)
        for place, text in self.edits.items():
            if place.file == name and place.replaces:
                lines[moved(place.line)] = text
            elif place.file == name:
                before.setdefault(moved(place.line), []).append(text)
        ends = enumerate([*lines, b""])
        return b"".join(part for number, line in ends for part in (*before.get(number, []), line))


@dataclass(frozen=True)
class Hunk:
    """Lines of the old version, and those that stand there in the new one."""

    start: int
    end: int
    growth: int

    def near(self, place: Place, distance: int = 0) -> bool:
        """Say whether a place touches these lines, or is only so many lines away."""
        last = place.line + 1 if place.replaces else place.line
        return self.start - distance <= last and place.line <= self.end + distance


@dataclass(frozen=True)
class Step:
    """A project as rendered by two versions."""

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
    def yours(self) -> set[str]:
        """The files that an update never touches."""
        patterns = config()["_skip_if_exists"]
        return {name for name in self.old if any(Path(name).match(pattern) for pattern in patterns)}

    @cached_property
    def hunks(self) -> dict[str, list[Hunk]]:
        """What differs between the versions of each file that both have."""
        both = sorted(name for name in self.old.keys() & self.new.keys())
        return {name: [] if name in self.yours else list(hunks(self.old[name], self.new[name])) for name in both}

    @cached_property
    def places(self) -> list[Place]:
        """Where one may edit: at least one line away from a change."""
        found = []
        for name, changes in self.hunks.items():
            for line in range(len(split(self.old[name])) + 1):
                for place in (Place(name, line, replaces=False), Place(name, line, replaces=True)):
                    inside = line < len(split(self.old[name])) or not place.replaces
                    if inside and not any(hunk.near(place) for hunk in changes):
                        found.append(place)
        return found

    @cached_property
    def close(self) -> list[Place]:
        """Those of them that are as close to a change as may be, or nearly."""
        return [place for place in self.places if any(hunk.near(place, CLOSE) for hunk in self.hunks[place.file])]

    def moved(self, name: str) -> Callable[[int], int]:
        """Return a function from a line of the old version to the same line of the new one."""
        return lambda line: line + sum(hunk.growth for hunk in self.hunks[name] if hunk.end <= line)

    def expected(self, work: Work) -> dict[str, bytes]:
        """Return what the project has to be afterwards."""
        start = {**self.new, **{name: self.old[name] for name in self.yours}}
        for name in {place.file for place in work.edits}:
            moved = (lambda line: line) if name in self.yours else self.moved(name)
            start[name] = work.applied(name, split(start[name]), moved)
        return {**{name: content for name, content in start.items() if name not in work.deleted}, **work.own}


def split(content: bytes) -> Lines:
    """Return the lines as git sees them."""
    return re.findall(rb"[^\n]*\n|[^\n]+", content)


def hunks(old: bytes, new: bytes) -> Iterator[Hunk]:
    """Yield how git sees a change."""
    if old == new:
        return
    with TemporaryDirectory() as name:
        for version, content in (("old", old), ("new", new)):
            Path(name, version).write_bytes(content)
        command = ["git", "diff", "--no-index", "--unified=0", "--no-indent-heuristic", "old", "new"]
        text = subprocess.run(command, cwd=name, capture_output=True, check=False).stdout.decode()
    for start, length, grown in re.findall(r"^@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@", text, re.MULTILINE):
        size = int(length or 1)
        first = int(start) - (1 if size else 0)  # git counts from one, and names the line above an insertion
        yield Hunk(first, first + size, int(grown or 1) - size)


def change_much(folder: Path) -> None:
    """Change the middle of every second file, and write more into every third, as a release might."""
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
    (folder / "template/app/brought_along.py").write_text('"""New."""\n', encoding="utf-8")
    commit(folder, "Change much", tag=CHANGED)


@pytest.fixture(scope="module")
def changing(history: Path, once: Once) -> Path:
    """The template, with a version that changes many files on top."""

    def build(folder: Path) -> None:
        shutil.copytree(history, folder)
        change_much(folder)

    return once("changing", build)


@pytest.fixture(scope="module", params=[("default", NEXT), *((case, CHANGED) for case in CASES)], ids="-".join)
def step(request: pytest.FixtureRequest, changing: Path, once: Once) -> tuple[Step, str]:
    """A project of the oldest release, one of a newer version, and which that is."""
    case, version = request.param

    def fresh(version: str) -> Path:
        return once(f"survive-{case}-{version}", lambda folder: begin(changing, folder, CASES[case], version))

    return Step(fresh(released()[0]), fresh(version)), version


@st.composite
def works(draw: st.DrawFn, step: Step) -> Work:
    """Draw what somebody does; each line is unlike any other."""
    deleted = draw(st.lists(st.sampled_from(sorted(step.old.keys() - step.yours)), min_size=2, max_size=4, unique=True))
    close = draw(st.lists(st.sampled_from(step.close), min_size=30, max_size=50))
    anywhere = draw(st.lists(st.sampled_from(step.places), min_size=20, max_size=30))
    places = sorted({place for place in (*close, *anywhere) if place.file not in deleted}, key=repr)
    edits = {place: f"mine {number} {draw(LINE)}\n".encode() for number, place in enumerate(places)}
    names = draw(st.lists(st.tuples(st.sampled_from(FOLDERS), NAME, CONTENT), min_size=5, max_size=8))
    own = {f"{folder}/own {name} {number}".strip("/"): content for number, (folder, name, content) in enumerate(names)}
    return Work(edits, deleted, own)


def do(work: Work, step: Step, project: Path) -> None:
    """Do the work in a project."""
    for name in {place.file for place in work.edits}:
        (project / name).write_bytes(work.applied(name, split(step.old[name])))
    for name in work.deleted:
        (project / name).unlink()
    for name, content in work.own.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_bytes(content)


def differences(expected: dict[str, bytes], found: dict[str, bytes]) -> str:
    """Say what is not as expected, as short as possible."""
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    shown = []
    for name in wrong:
        old, new = (
            str(side.get(name, b"(no such file)"), "utf-8", "replace").split("\n") for side in (expected, found)
        )
        shown += difflib.unified_diff(old, new, f"{name} (expected)", f"{name} (found)", lineterm="", n=4)
    return "\n".join(shown)


def files(project: Path) -> dict[str, bytes]:
    """Return every file, those that git ignores too."""
    paths = (path for path in project.rglob("*") if path.is_file() and ".git" not in path.relative_to(project).parts)
    found = {path.relative_to(project).as_posix(): path.read_bytes() for path in paths}
    del found[".copier-answers.yml"]
    return found


# Smaller examples would cost one update each; what fails is shown file by file instead.
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(data=st.data())
def test_what_is_a_line_away_from_changes_is_kept(step: tuple[Step, str], data: st.DataObject) -> None:
    project, version = step
    work = data.draw(works(project))
    with TemporaryDirectory() as name:
        folder = shutil.copytree(project.before, Path(name, "project"))
        do(work, project, folder)
        commit(folder, "Work")
        copier(folder, "update", "--defaults", "--vcs-ref", version)
        wrong = differences(project.expected(work), files(folder))
        assert not wrong, wrong
        assert conflicts(folder) == []


def test_there_is_something_to_merge(step: tuple[Step, str]) -> None:
    """Otherwise the test above says nothing."""
    project, version = step
    changed = [name for name, hunks in project.hunks.items() if hunks]
    assert len(changed) > (40 if version == CHANGED else 0)
    assert len(project.close) > 100
    assert len(project.places) > 5000


BODY = "".join(f"    line {number}\n" for number in range(1, 10))


@pytest.fixture(scope="module", params=[(), ("--context-lines", "100")], ids=["three", "hundred"])
def limits(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bool]:
    """A project after an update that meets the limits, and whether more context was asked for."""
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


def test_lines_that_repeat_need_more_context(limits: tuple[Path, bool]) -> None:
    """Copier looks for an edit by the three lines around it, near where it was.

    With more context than there is, it merges three whole files instead, and those know where a line comes from.
    """
    project, more = limits
    above = (project / "code.py").read_text(encoding="utf-8").partition("    mine\n")[0]
    assert re.findall("^def .*", above, re.MULTILINE)[-1] == ("def old():" if more else "def new():")


def test_what_is_not_text_is_taken_from_the_template(limits: tuple[Path, bool]) -> None:
    assert (limits[0] / "logo").read_bytes() == b"of two\n"
