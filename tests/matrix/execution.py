"""Execute a variant: render, install, check, build the documentation, serve. Each step is a command of the project."""

import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Lock

from tests.matrix.boot import boot
from tests.matrix.processes import INTERPRETERS, StepError, just, run, testing
from tests.matrix.variants import Variant
from tests.questionnaire import resolve
from tests.rendering import ROOT, render

STEPS = ("render", "sync", "check", "docs", "boot")

_copier = Lock()  # Copier is not thread-safe


@dataclass
class Result:
    """The result of executing a variant."""

    variant: Variant
    seconds: dict[str, float] = field(default_factory=dict)
    failure: str = ""  # the error, with the output
    reason: str = ""  # why the variant was rendered but not executed


def execute(
    variant: Variant,
    template: Path,
    folder: Path,
    *,
    processes: int = 1,
    entering: Callable[[str], None] = lambda _: None,
) -> Result:
    """Run the steps for a variant until one fails. Variants without `in_full` have fewer steps.

    Args:
        variant: The variant.
        template: The folder of the template.
        folder: The target folder.
        processes: The number of test processes of the project.
        entering: Called with the name of each step when it begins.
    """
    result = Result(variant, reason=why_not(variant))
    try:
        for name, step in _steps(result, template, folder, processes):
            entering(name)
            began = time.monotonic()
            step()
            result.seconds[name] = time.monotonic() - began
    except (StepError, ValueError, AssertionError) as error:
        result.failure = f"{variant}: {name}\n{error}"
    return result


def _steps(result: Result, template: Path, folder: Path, processes: int) -> Generator[tuple[str, Callable[[], object]]]:
    yield "render", lambda: _render(result.variant, template, folder)
    if result.reason:
        return
    yield "sync", lambda: run(folder, "uv", "sync")
    if not result.variant.in_full:
        yield "check", lambda: just(folder, "check", processes=processes)
        return
    yield "check", lambda: run(folder, "uv", "run", "just", "check", **testing(processes))
    if (folder / "mkdocs.yml").is_file():
        yield "docs", lambda: run(folder, "uv", "run", "just", "docs-build")
    yield "boot", lambda: boot(folder)


def _render(variant: Variant, template: Path, folder: Path) -> None:
    with _copier:
        render(template, folder, variant.answers)


def why_not(variant: Variant) -> str:
    """Return why a variant cannot be executed on this machine, empty if it can."""
    version = resolve(variant.answers)["python_version"]
    return "" if _has_python(version) else f"Python {version} is not installed, and uv and .ci/python cannot install it"


@cache
def _has_python(version: str) -> bool:
    """Return whether uv finds or installs an interpreter, searching as in a project with .python-version."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / ".python-version").write_text(f"{version}\n", encoding="utf-8")
        return (
            _succeeds(folder, "uv", "python", "find")
            or _succeeds(folder, "uv", "python", "install", version)
            or _succeeds(ROOT, ".ci/python", str(INTERPRETERS), version)
        )


def _succeeds(folder: Path, *command: str) -> bool:
    try:
        run(folder, *command)
    except StepError:
        return False
    return True
