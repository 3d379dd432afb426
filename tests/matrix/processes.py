"""Running a project's commands the way its owner does, whatever environment the tests themselves run in."""

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

OURS = ("PYTEST_", "COVERAGE_", "COV_", "UV_LOCKED", "UV_FROZEN", "UV_PROJECT", "VIRTUAL_ENV", "PYENV_VERSION")
SETTINGS = (
    *("ENV", "DATABASE_", "HOST", "PORT", "LOG_LEVEL", "DEBUG", "CORS_ORIGINS"),
    *("AUTH_", "JWT_", "OIDC_", "SMTP_", "REDIS_", "KAFKA_", "OUTBOX_", "WORKER_"),
    "PYTHONDONTWRITEBYTECODE",  # compiling the same modules for each process takes longer than running most of them
)

INTERPRETERS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "copier-fastapi/python"
"""Where .ci/python puts the interpreters that uv can neither find nor download."""

_running: set[subprocess.Popen[str]] = set()


class StepError(Exception):
    """A command of a project did not do what it should; says which, and what it wrote."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


def environment(**additions: str) -> dict[str, str]:
    """Return the environment of a fresh shell: without our virtual environment, without anybody's settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith((*OURS, *SETTINGS))}
    here = str(Path(sys.executable).parent)
    path = [folder for folder in os.environ["PATH"].split(os.pathsep) if folder != here]
    return {**inherited, "PATH": os.pathsep.join([*path, str(INTERPRETERS / "bin")]), **additions}


@cache
def scratch(folder: Path) -> str:
    """Give a project a temporary folder of its own, with a short name: sockets cannot have a long one.

    In the common one, each pytest that starts makes `pytest-of-USER` private again, also for the PostgreSQL
    servers that tests of other projects have there; under root those run as somebody else.
    """
    path = tempfile.mkdtemp(prefix=f"{folder.name[:8]}-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def run(folder: Path, *command: str, timeout: float = 900, typed: str = "", **additions: str) -> str:
    """Run a command in a project and return what it wrote.

    Args:
        folder: The project.
        command: The command.
        timeout: Seconds after which it and everything it started is killed.
        typed: What it reads from its standard input.
        additions: Environment variables.

    Raises:
        StepError: If it fails or takes too long.
    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment(TMPDIR=scratch(folder), **additions),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    _running.add(process)
    try:
        output, _ = process.communicate(typed, timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output = f"{process.communicate()[0]}\nkilled after {timeout:.0f} seconds"
    finally:
        _running.discard(process)
    if process.returncode != 0:
        raise StepError(f"$ {' '.join(command)}\n{output}", process.returncode)
    return output


def just(folder: Path, *recipe: str, counting: bool = False, processes: int = 1) -> None:
    """Run a recipe of a project of which most is known from others: with few requests, and without counting what is run.

    To count takes longer than all else. test_execution.py counts, and sends many requests.

    Args:
        folder: The project.
        recipe: The recipe, and what it is given.
        counting: Whether its tests shall tell which lines they do not reach.
        processes: How many processes its tests may use.

    Raises:
        StepError: If it fails.
    """
    options: dict[str, Any] = testing(processes) | {"CONTRACT_EXAMPLES": "1"}
    if not counting:
        options["PYTEST_ADDOPTS"] = "--no-cov"
    run(folder, "uv", "run", "just", *recipe, **options)


def testing(processes: int) -> dict[str, Any]:
    """Tell the tests of a project how many processes they may use; a single one needs nobody beside it to lead it."""
    return {"PYTEST_XDIST_AUTO_NUM_WORKERS": str(processes if processes > 1 else 0)}


def kill_all() -> None:
    """Kill every command that still runs, with all it has started: a Ctrl-C does not reach them."""
    for process in tuple(_running):
        os.killpg(process.pid, signal.SIGKILL)
