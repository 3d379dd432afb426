"""The commands of README.md work as written."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.markdown import blocks
from tests.matrix.processes import StepError, environment, run
from tests.matrix.service import Service, free_port, wait_until
from tests.matrix.sign_in import sign_up
from tests.outdated_project import LATER, prepare
from tests.releases import commit
from tests.rendering import ROOT, recorded_answers, snapshot
from tests.updating import NEXT, begin, conflicts

BuildOnce = Callable[[str, Callable[[Path], object]], Path]

INSTALL_SECONDS = 300
STOP_SECONDS = 300


def written(marker: str) -> list[str]:
    """Return the commands below `<!-- test: marker -->`."""
    marked = [block for block in blocks((ROOT / "README.md").read_text(encoding="utf-8")) if block.marker == marker]
    assert len(marked) == 1, f"README.md needs one block marked {marker!r}"
    return marked[0].commands()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of the template."""
    folder = snapshot(tmp_path / "clone")
    commit(folder, "All")
    return folder


def pyenv(folder: Path, *commands: str) -> str:
    """Return a PATH that begins with shims like those of pyenv, which fail where .python-version selects another Python."""
    folder.mkdir()
    for command in commands:
        shim = folder / command
        shim.write_text(
            f"""#!/bin/sh
            folder=$PWD
            while [ "$folder" != / ]; do
                [ ! -f "$folder/.python-version" ] || {{ echo "pyenv: {command}: command not found" >&2; exit 127; }}
                folder=$(dirname "$folder")
            done
            exec {shutil.which(command)} "$@"
            """,
            encoding="utf-8",
        )
        shim.chmod(0o755)
    return os.pathsep.join([str(folder), environment()["PATH"]])


@contextmanager
def running(commands: list[str], folder: Path, **variables: str) -> Generator[Service]:
    """Run commands, the last of which is a server; stop it with Ctrl-C after the block."""
    port = free_port()
    log = folder.parent / "terminal.log"
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            ["bash", "-c", " && ".join(commands)],
            cwd=folder,
            env=environment(PORT=str(port), **variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        yield Service(process, port, log)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise


@pytest.mark.execution
def test_first_commands_start_the_service(clone: Path, tmp_path: Path) -> None:
    """Also with pyenv, if uv was not installed with pip."""
    with running(written("run"), clone, PATH=pyenv(tmp_path / "shims", "python", "python3")) as service:
        ended = service.process.poll
        assert wait_until(lambda: ended() is not None or service.status("/health/ready") == 200, INSTALL_SECONDS)
        assert ended() is None, service.log.read_text(encoding="utf-8")
        assert service.status("/docs") == 200
        assert service.status("/api/v1/todos") == 401
        newcomer = sign_up(service.port, lambda: service.log.read_text(encoding="utf-8"))
        assert service.request("GET", "/api/v1/todos", headers=newcomer).status == 200
    assert wait_until(lambda: service.status("/health/live") == 0, STOP_SECONDS), "it still responds after Ctrl-C"


@pytest.mark.execution
def test_uv_installed_in_pyenv_fails_as_documented(clone: Path, tmp_path: Path) -> None:
    path = pyenv(tmp_path / "shims", "uv", "uvx", "python", "python3")
    with pytest.raises(StepError) as failure:
        run(clone, "bash", "-c", " && ".join(written("run")), PATH=path)
    last = str(failure.value).splitlines()[-1]
    assert last == "pyenv: uv: command not found"
    assert f"`{last}`" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_ci_runs_the_documented_test_command() -> None:
    assert written("tests") == ["uv run just test"]
    lines = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("uv run")] == [
        "uv run just test || failed=1",
        "uv run just test-rest || failed=1",
    ]
    assert (ROOT / ".ci/run").stat().st_mode & 0o111, "not executable"


def test_update_commands(once: BuildOnce, history: Path, tmp_path: Path) -> None:
    template = once("outdated-project", lambda folder: prepare(folder, history)) / "template"
    folder = begin(template, tmp_path / "my-service", {}, NEXT)
    for marker, expected in {"update": {}, "answer": {"database": "postgres"}, "remove": {"example": False}}.items():
        for command in written(marker):
            run(folder, "bash", "-c", command)
        assert conflicts(folder) == []
        assert expected.items() <= recorded_answers(folder).items()
        assert recorded_answers(folder)["_commit"] == LATER
        commit(folder, marker)
