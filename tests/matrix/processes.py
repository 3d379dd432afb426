"""Run commands in a project like a user, independent of the environment of the tests."""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

TEST_VARIABLES = (
    "PYTEST_",
    "COVERAGE_",
    "COV_",
    "UV_LOCKED",
    "UV_FROZEN",
    "UV_PROJECT",
    "VIRTUAL_ENV",
    "PYENV_VERSION",
)
PROJECT_VARIABLES = (
    *("ENV", "DATABASE_", "HOST", "PORT", "LOG_LEVEL", "DEBUG", "CORS_ORIGINS"),
    *("AUTH_", "JWT_", "OIDC_", "SMTP_", "REDIS_", "KAFKA_", "OUTBOX_", "WORKER_"),
    "PYTHONDONTWRITEBYTECODE",  # without bytecode, each process would compile all modules again
)

INTERPRETERS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "copier-fastapi/python"
"""Where .ci/python puts the interpreters that uv can neither find nor download."""

_running: set[subprocess.Popen[str]] = set()


class StepError(Exception):
    """A command of a project failed; the message contains the command and its output."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of a new shell, without the virtual environment of the tests and settings of projects."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith((*TEST_VARIABLES, *PROJECT_VARIABLES))
    }
    own_bin = str(Path(sys.executable).parent)
    path = [folder for folder in os.environ["PATH"].split(os.pathsep) if folder != own_bin]
    return {**inherited, "PATH": os.pathsep.join([*path, str(INTERPRETERS / "bin")]), **variables}


@cache
def scratch(folder: Path) -> str:
    """Return a separate temporary folder for a project, with a short name, because socket paths are limited.

    In a shared one, each pytest that starts makes `pytest-of-USER` private again. PostgreSQL servers of other projects,
    which run as another user under root, would lose access.
    """
    path = tempfile.mkdtemp(prefix=f"{folder.name[:8]}-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def run(folder: Path, *command: str, timeout: float = 900, stdin: str = "", **variables: str) -> str:
    """Run a command in a project, and return its output.

    Args:
        folder: The project.
        command: The command and its arguments.
        timeout: Seconds after which it and its child processes are killed.
        stdin: The text for its standard input.
        variables: Additional environment variables.

    Raises:
        StepError: If it fails or takes too long.
    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment(TMPDIR=scratch(folder), **variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    _running.add(process)
    try:
        output, _ = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output = f"{process.communicate()[0]}\nkilled after {timeout:.0f} seconds"
    finally:
        _running.discard(process)
    if process.returncode != 0:
        raise StepError(f"$ {' '.join(command)}\n{output}", process.returncode)
    return output


def just(folder: Path, *recipe: str, coverage: bool = False, processes: int = 1) -> None:
    """Run a recipe of a project, by default without coverage and with few generated requests, to save time.

    test_execution.py measures coverage and sends many requests.

    Args:
        folder: The project.
        recipe: The recipe and its arguments.
        coverage: Whether to measure coverage.
        processes: The number of test processes.

    Raises:
        StepError: If it fails.
    """
    options: dict[str, Any] = testing(processes) | {"CONTRACT_EXAMPLES": "1"}
    if not coverage:
        options["PYTEST_ADDOPTS"] = "--no-cov"
    run(folder, "uv", "run", "just", *recipe, **options)


def testing(processes: int) -> dict[str, Any]:
    """Return variables that limit the test processes of a project; a single one runs without pytest-xdist workers."""
    return {"PYTEST_XDIST_AUTO_NUM_WORKERS": str(processes if processes > 1 else 0)}


def kill_all() -> None:
    """Kill all running commands and their child processes, which do not receive a Ctrl-C."""
    for process in tuple(_running):
        os.killpg(process.pid, signal.SIGKILL)
