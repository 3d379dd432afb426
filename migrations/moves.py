# ruff: noqa: INP001  a script, not a package
"""Carry edits to where the template has moved a file. Copier runs this after an update, as a migration.

Copier knows nothing of moves: it deletes a file that the new version does not have, edited or not, and renders the one
that took its place. So a release that moves or deletes files declares it in copier.yml:

    _migrations:
      - version: 0.3.0
        command:
          - "{{ _copier_python }}"
          - "{{ _copier_conf.src_path }}/migrations/moves.py"
          - "--answers-file={{ _copier_conf.answers_file }}"
          - "app/old.py:app/new.py"
          - "app/folder:app/elsewhere"
          - "docs/gone.md:"

Paths are those of a rendered project. The right side is where the file is now: when it moves again, in a later release,
that is written here too. Nothing on the right side means that the template has it no longer.

The old version is rendered once more, with the old answers, to see what was edited. What was committed before the
update is merged with it and with the new file, like Copier merges a file that stays in its place.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import copier
import yaml

MODES = {False: "100644", True: "100755"}
LABELS = ("-L", "before updating", "-L", "last update", "-L", "after updating")


@dataclass(frozen=True)
class File:
    """One version of a file."""

    content: bytes
    executable: bool

    @classmethod
    def read(cls, path: Path) -> "File":
        """Read a file of a folder."""
        return cls(path.read_bytes(), os.access(path, os.X_OK))

    @property
    def mode(self) -> str:
        """What git calls it."""
        return MODES[self.executable]


def git(*command: str, given: bytes = b"") -> bytes:
    """Run git in the project; paths are taken as they are, and nobody's hooks run."""
    settings = {**os.environ, "GIT_LITERAL_PATHSPECS": "1"}
    whole = ["git", "-c", f"core.hooksPath={os.devnull}", *command]
    return subprocess.run(whole, env=settings, input=given, stdout=subprocess.PIPE, check=True).stdout


def committed(path: str) -> dict[str, str]:
    """Return what the last commit has at a path, a file or a folder, each with its mode."""
    listed = git("ls-tree", "-r", "-z", "HEAD", "--", path).decode().split("\0")
    return {name: about.split()[0] for about, name in (line.split("\t") for line in listed if line)}


def mine(path: str) -> File | None:
    """Return a file as the user had it, if it is one."""
    mode = committed(path).get(path)
    if mode not in MODES.values():
        return None
    return File(git("cat-file", "blob", f"HEAD:./{path}"), mode == MODES[True])


def render(answers_file: str, version: str, folder: Path) -> None:
    """Render what the project was before it was edited, as Copier does in an update."""
    answers = yaml.safe_load(git("show", f"HEAD:./{answers_file}"))
    copier.run_copy(
        answers["_src_path"],
        folder,
        data=answers,
        answers_file=answers_file,
        vcs_ref=version,
        defaults=True,
        quiet=True,
        unsafe=True,  # what has been trusted once: this runs with --trust only
        skip_tasks=True,
    )


def single(moves: Sequence[str], before: Path) -> dict[str, str]:
    """Return the move of each file that the project had. What is said of a file counts more than of its folder."""
    found: dict[str, str] = {}
    for old, _, new in sorted((move.partition(":") for move in moves), key=lambda move: len(move[0])):
        if (before / old).is_file():
            found[old] = new
        for file in (path for path in sorted((before / old).rglob("*")) if path.is_file()):
            inside = file.relative_to(before / old)
            found[f"{old}/{inside.as_posix()}"] = f"{new}/{inside.as_posix()}" if new else ""
    return found


def carry(old: str, new: str, base: File) -> str:
    """Do for one file what Copier does not, and return what there is to say.

    Args:
        old: Where it was.
        new: Where it is; empty if the template has it no longer.
        base: What was rendered there, before any edit.
    """
    edited = mine(old)
    if Path(old).exists() or edited == base:
        return ""
    if not committed(old):
        return deleted(old, new) if new and not committed(new) else ""
    if not new or not Path(new).exists():
        return kept(old, "the template has it no longer")
    if committed(new):
        return kept(old, f"the template has it at {new} now, where you had a file already: make one of the two")
    return kept(old, "it is not a file any more") if edited is None else merged(old, new, base, edited)


def deleted(old: str, new: str) -> str:
    """Delete what the user had deleted."""
    if not Path(new).exists():
        return ""
    Path(new).unlink()
    with suppress(OSError):  # other files are there
        os.removedirs(Path(new).parent)
    return f"deleted: {new}, because you had deleted {old}"


def kept(old: str, why: str) -> str:
    """Bring back what the user had."""
    git("checkout", "--quiet", "HEAD", "--", old)
    return f"kept: {old}, because you had edited it; {why}"


def merged(old: str, new: str, base: File, edited: File) -> str:
    """Merge three versions, into the new place."""
    theirs = File.read(Path(new))
    content, clean = merge(edited.content, base.content, theirs.content)
    executable = edited.executable if edited.executable != base.executable else theirs.executable
    Path(new).write_bytes(content)
    if executable != theirs.executable:
        Path(new).chmod(0o755 if executable else 0o644)
    Path(f"{old}.rej").unlink(missing_ok=True)  # of `--conflict rej`
    if clean:
        return f"edits carried: {old} -> {new}"
    leave_unmerged(new, base, edited, theirs)
    marked = (
        "both are there, one below the other" if content != edited.content else "it cannot be merged, yours is there"
    )
    return f"CONFLICT: {old} -> {new}: you and the template changed the same lines; {marked}"


def merge(edited: bytes, base: bytes, theirs: bytes) -> tuple[bytes, bool]:
    """Return the merged text, and whether it is without a conflict. What is not text stays the user's."""
    if base in (edited, theirs):
        return (theirs if edited == base else edited), True
    with TemporaryDirectory() as name:
        paths = [Path(name, version) for version in ("edited", "base", "theirs")]
        for path, content in zip(paths, (edited, base, theirs), strict=True):
            path.write_bytes(content)
        command = ["git", "merge-file", "--stdout", "--quiet", *LABELS, *map(str, paths)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    is_text = 0 <= done.returncode < 128  # the number of conflicts, or 255
    return (done.stdout, done.returncode == 0) if is_text else (edited, edited == theirs)


def leave_unmerged(path: str, *versions: File) -> None:
    """Let git list a path as "both modified", with the versions before anybody's edits, the user's, the template's."""
    inside = git("rev-parse", "--show-prefix").decode().removesuffix("\n")
    entries = [
        f"{file.mode} {git('hash-object', '-w', '--stdin', given=file.content).decode().strip()} {stage}\t{inside}{path}"
        for stage, file in enumerate(versions, start=1)
    ]
    git("update-index", "-z", "--index-info", given="\0".join([*entries, ""]).encode())


def left_behind(moves: Sequence[str], known: dict[str, str]) -> Iterator[str]:
    """Say which files of a moved folder are the user's own; they are where they were."""
    for old in (move.partition(":")[0] for move in moves):
        own = sorted(committed(old).keys() - known.keys())
        if own and any(path.startswith(f"{old}/") for path in known):
            yield f"yours, and not moved: {', '.join(own)}"


def main() -> None:
    """Carry all that was edited.

    Raises:
        SystemExit: If the old version cannot be rendered; says where the edits are.
    """
    parser = argparse.ArgumentParser(description="Carry edits to where the template has moved files.")
    parser.add_argument("--answers-file", default=".copier-answers.yml")
    parser.add_argument("moves", nargs="+", metavar="OLD:NEW")
    options = parser.parse_args()
    version = os.environ.get("VERSION_FROM", "")
    with TemporaryDirectory() as name:
        before = Path(name, "before")
        try:
            render(options.answers_file, version, before)
        except Exception as error:  # noqa: BLE001  of Copier, of git, of Jinja: whatever it is, say where the edits are
            raise SystemExit(failure(version, error, options.moves)) from None
        moves = single(options.moves, before)
        said = [carry(old, new, File.read(before / old)) for old, new in moves.items()]
        said += left_behind(options.moves, moves)
    sys.stderr.write("".join(f"{line}\n" for line in said if line))


def failure(version: str, error: Exception, moves: Sequence[str]) -> str:
    """Say what went wrong, and where everything is."""
    paths = sorted({path for move in moves for path in committed(move.partition(":")[0])})
    return (
        f"Version {version!r} of the template, which the project was made with, cannot be rendered:\n{error}\n"
        "So nobody knows which files you had edited, and no edits were carried to where the template has moved them.\n"
        "They are in your last commit:\n"
        + "".join(f"    git show 'HEAD:./{path}'\n" for path in paths)
        + "To have everything as before the update: git restore --staged --worktree . && git clean --force -d"
    )


if __name__ == "__main__":
    main()
