"""Fixtures for all tests: the template of the working tree, and projects rendered from it."""

import atexit
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from tests import releases
from tests.fast_copier import patch_copier
from tests.rendering import Answers, snapshot
from tests.rendering import render as render_project
from tests.updating import NEXT

pytest_plugins = ["tests.costs"]

LONG = ("execution", "containers")
MEMORY = Path("/dev/shm")  # noqa: S108 - tempfile creates a separate folder in it
"""In-memory file system for temporary files, if it is large enough: tests write and delete many thousand small files.

All files are deleted after the run. To keep the files of a failed test, use another folder: `TMPDIR=/tmp just test`.
"""
ROOM = 8 * 2**30
"""Bytes that must be free in MEMORY, and again for processes. A complete run has used up to 6.5 GB."""


def pytest_configure() -> None:
    """Choose the folder for temporary files, once for all processes, and patch Copier."""
    if "TMPDIR" not in os.environ and memory_has_room():
        os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(prefix="tests-", dir=MEMORY)
        # If the tests run as root, PostgreSQL runs as another user, who must read it.
        Path(tempfile.tempdir).chmod(0o755)
        atexit.register(shutil.rmtree, tempfile.tempdir, ignore_errors=True)
    patch_copier()


def memory_has_room() -> bool:
    """Return whether MEMORY is large enough and allows to execute programs."""
    try:
        system = os.statvfs(MEMORY)
    except OSError:
        return False
    free = min(system.f_bavail * system.f_frsize, psutil.virtual_memory().available - ROOM)
    return free >= ROOM and not system.f_flag & os.ST_NOEXEC


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the long tests first, so that the run does not end with one of them. The crash tests take longest.

    `--dist worksteal` gives each process the next part of the list, so each part gets its share of the long tests.
    """
    items.sort(key=lambda item: (item.path.stem != "test_crashes", not any(map(item.get_closest_marker, LONG))))
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    items[:] = [item for first in range(processes) for item in items[first::processes]]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all processes of this test run share."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@pytest.fixture(scope="session")
def once(shared: Path) -> Callable[[str, Callable[[Path], object]], Path]:
    """Return a function that fills a shared folder only once per test run: `once(name, fill)`."""

    def fill_once(name: str, fill: Callable[[Path], object]) -> Path:
        folder, done = shared / name, shared / f"{name}.done"
        with FileLock(shared / f"{name}.lock"):
            if not done.exists():
                fill(folder)
                done.touch()
        return folder

    return fill_once


@pytest.fixture(scope="session")
def template(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """The template of the working tree, in a plain folder."""
    return once("template", snapshot)


@pytest.fixture(scope="session")
def history(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A repository with every release of the template, and the working tree as the newest. Copy it before you change it."""

    def rebuild(folder: Path) -> None:
        releases.history(folder)
        releases.follow(folder, NEXT)

    return once("history", rebuild)


@pytest.fixture(scope="session")
def render(template: Path, once: Callable[[str, Callable[[Path], object]], Path]) -> Callable[[Answers], Path]:
    """Return a function that renders a project, once for each set of answers. Copy the project before you change it."""

    def render_once(answers: Answers) -> Path:
        key = hashlib.sha256(json.dumps(dict(answers), sort_keys=True).encode()).hexdigest()[:16]
        return once(f"project-{key}", lambda folder: render_project(template, folder, answers))

    return render_once
