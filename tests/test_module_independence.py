"""Modules do not depend on optional features that react to their events."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.projects import files
from tests.questionnaire import choices
from tests.rendering import Answers

Render = Callable[[Answers], Path]

WORKER_FILES = ("app/modules/reminder/", "app/modules/user/emails.py", "app/modules/user/subscribers.py")


def module_files(project: Path) -> dict[str, bytes]:
    """Return the Python files of the modules of a project."""
    found = (file for file in files(project) if file.match("app/modules/**/*.py") or file.match("app/modules/*.py"))
    return {str(file): (project / file).read_bytes() for file in found}


@pytest.mark.parametrize("auth", choices()["auth"])
def test_workers_only_add_files_to_modules(auth: str, render: Render) -> None:
    """All other files are identical byte for byte."""
    without, with_workers = (module_files(render({"auth": auth, "workers": workers})) for workers in (False, True))

    assert "app/modules/user/service.py" in without
    added = with_workers.keys() - without.keys()
    assert with_workers == {**without, **{name: with_workers[name] for name in added}}
    assert {name for name in added if not name.startswith(WORKER_FILES)} == set()
