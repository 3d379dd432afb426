"""Released versions of the template, stored in releases/ so that they can be rebuilt in any clone.

Not every clone has all tags, and a shallow clone has no history. Therefore each release is stored as a git bundle: one
commit on top of the previous release, with only the files that Copier reads. Together, the bundles are the history that
`copier update` needs.
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
IDENTITY = {"NAME": "copier-fastapi", "EMAIL": "releases@localhost"}

commands = typer.Typer(no_args_is_help=True, help="Releases of the template.")


class ReleaseError(Exception):
    """A release cannot be recorded, or does not match its bundle."""


def git(folder: Path, *command: str, **additions: str) -> str:
    """Run git with a fixed identity, without the git settings of this machine.

    Raises:
        ReleaseError: If it fails.
    """
    identity = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in IDENTITY.items()}
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **identity, **additions}
    result = subprocess.run(
        ["git", *command], cwd=folder, env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise ReleaseError(f"$ git {' '.join(command)}\n{result.stdout}{result.stderr}")
    return result.stdout.rstrip("\n")


def commit(folder: Path, message: str, tag: str = "", **additions: str) -> None:
    """Commit all files of a folder; create the repository if necessary."""
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message, **additions)
    if tag:
        git(folder, "tag", tag)


def version_key(version: str) -> tuple[int, ...]:
    """Return a version as a tuple for comparisons."""
    return tuple(map(int, version.split(".")))


def released() -> list[str]:
    """Return the recorded versions, oldest first."""
    return sorted((file.stem for file in RELEASES.glob("*.bundle")), key=version_key)


def changelog_versions() -> dict[str, str]:
    """Return the released versions in the changelog, newest first, with their dates."""
    return {found["version"]: found["date"] for found in HEADING.finditer(CHANGELOG.read_text(encoding="utf-8"))}


def history(folder: Path) -> Path:
    """Rebuild the repository of the template with a tag for each release; the newest one is checked out."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    for version in released():
        git(folder, "fetch", "--quiet", str(RELEASES / f"{version}.bundle"), "refs/tags/*:refs/tags/*")
        git(folder, "reset", "--quiet", "--hard", version)
    return folder


def follow(folder: Path, version: str, day: str = "2000-01-01") -> None:
    """Commit the working tree of this repository to a rebuilt template as the next release."""
    git(folder, "rm", "-r", "--quiet", "--ignore-unmatch", ".")
    snapshot(folder)
    stamp = f"{day}T00:00:00+00:00"
    commit(folder, f"Release {version}", version, GIT_AUTHOR_DATE=stamp, GIT_COMMITTER_DATE=stamp)


@commands.command()
def record(version: str) -> None:
    """Record the committed template as a release. CHANGELOG.md must have a dated section for it."""
    existing = released()
    if version not in changelog_versions():
        raise ReleaseError(f"CHANGELOG.md has no heading `## {version} (YYYY-MM-DD)`: describe the changes there")
    if existing and version_key(version) <= version_key(existing[-1]):
        raise ReleaseError(
            f"{version} is not higher than {existing[-1]}, and releases cannot be changed: choose a higher version"
        )
    if changes := git(ROOT, "status", "--porcelain", "--", *(part for part in PARTS if (ROOT / part).exists())):
        raise ReleaseError(f"uncommitted changes; commit them first:\n{changes}")
    with tempfile.TemporaryDirectory() as name:
        folder = history(Path(name))
        follow(folder, version, changelog_versions()[version])
        base = [f"^{existing[-1]}"] if existing else []
        git(folder, "bundle", "create", "--quiet", str(RELEASES / f"{version}.bundle"), f"refs/tags/{version}", *base)
    typer.echo(
        f"written: releases/{version}.bundle\n\nNext:\n\n    git add releases && git commit -m 'Release {version}'"
    )
    typer.echo(f"    git tag {version} && git push origin main {version}")


@commands.command()
def verify(version: str) -> None:
    """Check that the working tree matches the recorded release."""
    with tempfile.TemporaryDirectory() as name:
        folder = history(Path(name))
        git(folder, "reset", "--quiet", "--hard", version)
        git(folder, "rm", "-r", "--quiet", ".")
        snapshot(folder)
        git(folder, "add", "--all")
        if changes := git(folder, "diff", "--cached", "--name-status", version):
            raise ReleaseError(f"the working tree differs from releases/{version}.bundle:\n{changes}")


@commands.command()
def notes(version: str) -> None:
    """Print the section of a release in CHANGELOG.md."""
    if version not in changelog_versions():
        raise ReleaseError(f"CHANGELOG.md has no heading `## {version} (YYYY-MM-DD)`")
    typer.echo(
        section(CHANGELOG.read_text(encoding="utf-8"), f"## {version} ({changelog_versions()[version]})").strip()
    )


if __name__ == "__main__":
    try:
        commands()
    except ReleaseError as error:
        typer.echo(error, err=True)
        raise SystemExit(1) from None
