"""Executing a variant: render, install, check, document, serve. Each step is the project's own command."""

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

_copier = Lock()  # it was not written for threads


@dataclass
class Result:
    """What became of a variant."""

    variant: Variant
    seconds: dict[str, float] = field(default_factory=dict)
    failure: str = ""  # what went wrong, with what was written
    reason: str = ""  # why it was rendered but not executed


def execute(
    variant: Variant,
    template: Path,
    folder: Path,
    *,
    processes: int = 1,
    entering: Callable[[str], None] = lambda _: None,
) -> Result:
    """Take a variant through every step, or those of `Variant.in_full`, up to the first that fails.

    Args:
        variant: What to render.
        template: Where from.
        folder: Where to.
        processes: How many processes the project's own tests may use.
        entering: Is told each step as it begins.
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
    """Say why a variant cannot be executed on this machine; nothing if it can."""
    version = resolve(variant.answers)["python_version"]
    return "" if _has_python(version) else f"Python {version} is not on this machine; uv and .ci/python cannot get it"


@cache
def _has_python(version: str) -> bool:
    """Ask uv for an interpreter the way it looks for one inside a project, where .python-version counts."""
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
