"""What every test may ask for: the template as it is now, and projects rendered from it."""

import atexit
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tests import memory, releases
from tests.remembering import COMPILED, remember
from tests.rendering import Answers, snapshot
from tests.rendering import render as render_project
from tests.updating import NEXT

LONG = ("execution", "containers")
BEGAN = "TESTS_BEGAN"


def pytest_configure() -> None:
    """Note when it began and choose where temporary files go, once for all processes; let each remember."""
    os.environ.setdefault(BEGAN, str(time.time()))
    if "TMPDIR" not in os.environ and memory.has_room():
        os.environ["TMPDIR"] = tempfile.tempdir = fleeting("tests-", memory.FOLDER)
    if COMPILED not in os.environ:
        os.environ[COMPILED] = fleeting("compiled-")
    remember()


def fleeting(prefix: str, folder: Path | None = None) -> str:
    """Make a temporary folder that is gone when the tests are over. As root, PostgreSQL is somebody else, and reads in it."""
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
    path.chmod(0o755)
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return str(path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that nobody waits for one last long test; the crash tests take longest.

    Last come the combinations that are there for completeness: there may be no time for them. `--dist worksteal` gives each
    process the next part of the list, so each part has its share of all.
    """
    items.sort(
        key=lambda item: (
            is_for_completeness(item),
            item.path.stem != "test_crashes",
            not any(map(item.get_closest_marker, LONG)),
        )
    )
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    items[:] = [item for first in range(processes) for item in items[first::processes]]


def is_for_completeness(item: pytest.Item) -> bool:
    """Tell whether it executes a variant of which every pair of answers is executed in others."""
    variant = getattr(item, "callspec", None) and item.callspec.params.get("variant")  # ty: ignore[missing-attribute]
    return bool(variant and not variant.in_full and item.get_closest_marker("execution"))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all processes of this test run share."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@pytest.fixture(scope="session")
def once(shared: Path) -> Callable[[str, Callable[[Path], object]], Path]:
    """Fill a shared folder by whoever comes first: `once(name, fill)`."""

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
    """The template as a repository: every release, and the working tree as the newest. Copy it before you change it."""

    def rebuild(folder: Path) -> None:
        releases.history(folder)
        releases.follow(folder, NEXT)

    return once("history", rebuild)


@pytest.fixture(scope="session")
def render(template: Path, once: Callable[[str, Callable[[Path], object]], Path]) -> Callable[[Answers], Path]:
    """Render a project, once for the same answers: copy it (`shutil.copytree`) before you change it."""

    def render_once(answers: Answers) -> Path:
        key = hashlib.sha256(json.dumps(dict(answers), sort_keys=True).encode()).hexdigest()[:16]
        return once(f"project-{key}", lambda folder: render_project(template, folder, answers))

    return render_once
