# ruff: noqa: INP001  a script, not a package
"""Move edits to the new places of files that the template has moved. Copier runs this as a migration after an update.

Copier does not support moved files: it deletes a file that the new version does not have, even if it was edited, and
renders the new one. Therefore a release that moves or deletes files declares this in copier.yml:

    _migrations:
      - version: 0.3.0
        command:
          - "{{ _copier_python }}"
          - "{{ _copier_conf.src_path }}/migrations/moves.py"
          - "--answers-file={{ _copier_conf.answers_file }}"
          - "app/old.py:app/new.py"
          - "app/folder:app/elsewhere"
          - "docs/gone.md:"

Paths are those of a rendered project. The right side is the current place of the file: if a later release moves it again,
update this declaration as well. An empty right side means that the template no longer has the file.

To find the edits, the old version is rendered again, with the old answers. The committed file is merged with it and with
the new file, as Copier merges a file that was not moved.
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
        """Read a file from disk."""
        return cls(path.read_bytes(), os.access(path, os.X_OK))

    @property
    def mode(self) -> str:
        """The mode in the notation of git."""
        return MODES[self.executable]


def git(*command: str, stdin: bytes = b"") -> bytes:
    """Run git in the project, with literal paths and without hooks."""
    settings = {**os.environ, "GIT_LITERAL_PATHSPECS": "1"}
    arguments = ["git", "-c", f"core.hooksPath={os.devnull}", *command]
    return subprocess.run(arguments, env=settings, input=stdin, stdout=subprocess.PIPE, check=True).stdout


def committed(path: str) -> dict[str, str]:
    """Return the modes of the committed files at a path, which can be a file or a folder."""
    listed = git("ls-tree", "-r", "-z", "HEAD", "--", path).decode().split("\0")
    return {name: entry.split()[0] for entry, name in (line.split("\t") for line in listed if line)}


def user_version(path: str) -> File | None:
    """Return the committed version of a file, None if it is not a regular file."""
    mode = committed(path).get(path)
    if mode not in MODES.values():
        return None
    return File(git("cat-file", "blob", f"HEAD:./{path}"), mode == MODES[True])


def render(answers_file: str, version: str, folder: Path) -> None:
    """Render the old version of the project without edits, as Copier does in an update."""
    answers = yaml.safe_load(git("show", f"HEAD:./{answers_file}"))
    copier.run_copy(
        answers["_src_path"],
        folder,
        data=answers,
        answers_file=answers_file,
        vcs_ref=version,
        defaults=True,
        quiet=True,
        unsafe=True,  # already trusted: migrations only run with --trust
        skip_tasks=True,
    )


def file_moves(moves: Sequence[str], before: Path) -> dict[str, str]:
    """Return the moves of all rendered files. The declaration of a file overrides that of its folder."""
    found: dict[str, str] = {}
    for old, _, new in sorted((move.partition(":") for move in moves), key=lambda move: len(move[0])):
        if (before / old).is_file():
            found[old] = new
        for file in (path for path in sorted((before / old).rglob("*")) if path.is_file()):
            relative = file.relative_to(before / old)
            found[f"{old}/{relative.as_posix()}"] = f"{new}/{relative.as_posix()}" if new else ""
    return found


def move_edits(old: str, new: str, base: File) -> str:
    """Move the edits of one file, and return a message for the user, empty if there is nothing to do.

    Args:
        old: The old path.
        new: The new path, empty if the template no longer has the file.
        base: The file as rendered by the old version.
    """
    edited = user_version(old)
    if Path(old).exists() or edited == base:
        return ""
    if not committed(old):
        return delete_moved(old, new) if new and not committed(new) else ""
    if not new or not Path(new).exists():
        return keep(old, "the template no longer has this file")
    if committed(new):
        return keep(old, f"the template now has it at {new}, where you already have a file: merge the two")
    return keep(old, "it is no longer a file") if edited is None else merge_into(old, new, base, edited)


def delete_moved(old: str, new: str) -> str:
    """Delete the new file, because the user deleted the old one."""
    if not Path(new).exists():
        return ""
    Path(new).unlink()
    with suppress(OSError):  # the folder contains other files
        os.removedirs(Path(new).parent)
    return f"deleted: {new}, because you deleted {old}"


def keep(old: str, reason: str) -> str:
    """Restore the file of the user at its old path."""
    git("checkout", "--quiet", "HEAD", "--", old)
    return f"kept: {old}, because you edited it; {reason}"


def merge_into(old: str, new: str, base: File, edited: File) -> str:
    """Merge the three versions into the new file."""
    theirs = File.read(Path(new))
    content, clean = merge(edited.content, base.content, theirs.content)
    executable = edited.executable if edited.executable != base.executable else theirs.executable
    Path(new).write_bytes(content)
    if executable != theirs.executable:
        Path(new).chmod(0o755 if executable else 0o644)
    Path(f"{old}.rej").unlink(missing_ok=True)  # from `--conflict rej`
    if clean:
        return f"edits moved: {old} -> {new}"
    leave_unmerged(new, base, edited, theirs)
    marked = (
        "the file contains both versions" if content != edited.content else "it cannot be merged; your version was kept"
    )
    return f"CONFLICT: {old} -> {new}: you and the template changed the same lines; {marked}"


def merge(edited: bytes, base: bytes, theirs: bytes) -> tuple[bytes, bool]:
    """Return the merged content, and whether there was no conflict. Binary files keep the version of the user."""
    if base in (edited, theirs):
        return (theirs if edited == base else edited), True
    with TemporaryDirectory() as name:
        paths = [Path(name, version) for version in ("edited", "base", "theirs")]
        for path, content in zip(paths, (edited, base, theirs), strict=True):
            path.write_bytes(content)
        command = ["git", "merge-file", "--stdout", "--quiet", *LABELS, *map(str, paths)]
        result = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    is_text = 0 <= result.returncode < 128  # the number of conflicts, or 255
    return (result.stdout, result.returncode == 0) if is_text else (edited, edited == theirs)


def leave_unmerged(path: str, *versions: File) -> None:
    """Make git list a path as "both modified", with the base version, that of the user and that of the template."""
    relative = git("rev-parse", "--show-prefix").decode().removesuffix("\n")
    entries = [
        f"{file.mode} {git('hash-object', '-w', '--stdin', stdin=file.content).decode().strip()} {stage}\t{relative}{path}"
        for stage, file in enumerate(versions, start=1)
    ]
    git("update-index", "-z", "--index-info", stdin="\0".join([*entries, ""]).encode())


def unmoved_files(declared: Sequence[str], moves: dict[str, str]) -> Iterator[str]:
    """Yield a message for each moved folder with files of the user, which are not moved."""
    for old in (move.partition(":")[0] for move in declared):
        own = sorted(committed(old).keys() - moves.keys())
        if own and any(path.startswith(f"{old}/") for path in moves):
            yield f"not moved, because the template does not contain it: {', '.join(own)}"


def main() -> None:
    """Move all edits.

    Raises:
        SystemExit: If the old version cannot be rendered. The message shows where the edits are.
    """
    parser = argparse.ArgumentParser(description="Move edits to the new places of files that the template has moved.")
    parser.add_argument("--answers-file", default=".copier-answers.yml")
    parser.add_argument("moves", nargs="+", metavar="OLD:NEW")
    options = parser.parse_args()
    version = os.environ.get("VERSION_FROM", "")
    with TemporaryDirectory() as name:
        before = Path(name, "before")
        try:
            render(options.answers_file, version, before)
        except Exception as error:  # noqa: BLE001  any error of Copier, git or Jinja: show where the edits are
            raise SystemExit(failure_message(version, error, options.moves)) from None
        moves = file_moves(options.moves, before)
        messages = [move_edits(old, new, File.read(before / old)) for old, new in moves.items()]
        messages += unmoved_files(options.moves, moves)
    sys.stderr.write("".join(f"{line}\n" for line in messages if line))


def failure_message(version: str, error: Exception, moves: Sequence[str]) -> str:
    """Return an error message that shows where the edits are."""
    paths = sorted({path for move in moves for path in committed(move.partition(":")[0])})
    return (
        f"Version {version!r} of the template, which generated this project, cannot be rendered:\n{error}\n"
        "Therefore your edits of moved files could not be found and moved. They are in your last commit:\n"
        + "".join(f"    git show 'HEAD:./{path}'\n" for path in paths)
        + "To undo the update: git restore --staged --worktree . && git clean --force -d"
    )


if __name__ == "__main__":
    main()
