"""Released versions of the template, kept in releases/ so that any clone can rebuild each of them.

Tags do not travel with every clone, and a shallow one has no history. So each release is
recorded as a git bundle: one commit on top of the release before, with the files that Copier
reads and nothing else. Together the bundles are the history that `copier update` works on.
"""

import os
import re
import subprocess
import tempfile
from pathlib import Path

import typer

from tests.markdown import section
from tests.rendering import PARTS, ROOT, snapshot

RELEASES = ROOT / "releases"
CHANGELOG = ROOT / "CHANGELOG.md"
HEADING = re.compile(r"^## (?P<version>\d+\.\d+\.\d+) \((?P<date>\d{4}-\d\d-\d\d)\)$", re.MULTILINE)
SOMEBODY = {"NAME": "copier-fastapi", "EMAIL": "releases@localhost"}

commands = typer.Typer(no_args_is_help=True, help="Releases of the template.")


class ReleaseError(Exception):
    """A release cannot be recorded or is not what it says; names what is missing."""


def git(folder: Path, *command: str, **additions: str) -> str:
    """Run git as nobody in particular, whatever this machine's settings for git are.

    Raises:
        ReleaseError: If it fails.
    """
    people = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in SOMEBODY.items()}
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **people, **additions}
    done = subprocess.run(
        ["git", *command], cwd=folder, env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ReleaseError(f"$ git {' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout.rstrip("\n")


def commit(folder: Path, message: str, tag: str = "", **additions: str) -> None:
    """Put a folder, as it is now, under version control."""
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message, **additions)
    if tag:
        git(folder, "tag", tag)


def numbers(version: str) -> tuple[int, ...]:
    """Return a version as something that can be compared."""
    return tuple(map(int, version.split(".")))


def released() -> list[str]:
    """List the recorded versions, the oldest first."""
    return sorted((file.stem for file in RELEASES.glob("*.bundle")), key=numbers)


def announced() -> dict[str, str]:
    """Return the released versions that the changelog speaks of, the newest first, and their dates."""
    return {found["version"]: found["date"] for found in HEADING.finditer(CHANGELOG.read_text(encoding="utf-8"))}


def history(folder: Path) -> Path:
    """Rebuild the template as a repository with a tag for each release; the newest is checked out."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    for version in released():
        git(folder, "fetch", "--quiet", str(RELEASES / f"{version}.bundle"), "refs/tags/*:refs/tags/*")
        git(folder, "reset", "--quiet", "--hard", version)
    return folder


def follow(folder: Path, version: str, day: str = "2000-01-01") -> None:
    """Commit the working tree of this repository to a rebuilt template, as its next release."""
    git(folder, "rm", "-r", "--quiet", "--ignore-unmatch", ".")
    snapshot(folder)
    stamp = f"{day}T00:00:00+00:00"
    commit(folder, f"Release {version}", version, GIT_AUTHOR_DATE=stamp, GIT_COMMITTER_DATE=stamp)


@commands.command()
def record(version: str) -> None:
    """Record the template as it is now as a release. Its section in CHANGELOG.md has to be there, with the date."""
    known = released()
    if version not in announced():
        raise ReleaseError(f"CHANGELOG.md has no heading `## {version} (YYYY-MM-DD)`: say what has changed, and when")
    if known and numbers(version) <= numbers(known[-1]):
        raise ReleaseError(
            f"{version} does not come after {known[-1]}; a release never changes: choose a higher number"
        )
    if changed := git(ROOT, "status", "--porcelain", "--", *(part for part in PARTS if (ROOT / part).exists())):
        raise ReleaseError(f"commit first, a release is what is committed:\n{changed}")
    with tempfile.TemporaryDirectory() as name:
        folder = history(Path(name))
        follow(folder, version, announced()[version])
        since = [f"^{known[-1]}"] if known else []
        git(folder, "bundle", "create", "--quiet", str(RELEASES / f"{version}.bundle"), f"refs/tags/{version}", *since)
    typer.echo(
        f"written: releases/{version}.bundle\n\nNext:\n\n    git add releases && git commit -m 'Release {version}'"
    )
    typer.echo(f"    git tag {version} && git push origin main {version}")


@commands.command()
def verify(version: str) -> None:
    """Say whether the files here are those of the recorded release."""
    with tempfile.TemporaryDirectory() as name:
        folder = history(Path(name))
        git(folder, "reset", "--quiet", "--hard", version)
        git(folder, "rm", "-r", "--quiet", ".")
        snapshot(folder)
        git(folder, "add", "--all")
        if changed := git(folder, "diff", "--cached", "--name-status", version):
            raise ReleaseError(f"these files are not those of releases/{version}.bundle:\n{changed}")


@commands.command()
def notes(version: str) -> None:
    """Print what CHANGELOG.md says about a release."""
    if version not in announced():
        raise ReleaseError(f"CHANGELOG.md has no heading `## {version} (YYYY-MM-DD)`")
    typer.echo(section(CHANGELOG.read_text(encoding="utf-8"), f"## {version} ({announced()[version]})").strip())


if __name__ == "__main__":
    try:
        commands()
    except ReleaseError as error:
        typer.echo(error, err=True)
        raise SystemExit(1) from None
