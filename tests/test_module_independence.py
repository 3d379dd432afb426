"""What a feature leaves alone: the rules of a service do not know who listens."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.projects import files
from tests.questionnaire import choices
from tests.rendering import Answers

Render = Callable[[Answers], Path]

BELONGS_TO_WORKERS = ("app/modules/reminder/", "app/modules/user/mails.py", "app/modules/user/tasks.py")


def modules(project: Path) -> dict[str, bytes]:
    """Read the modules of a project, but for their templates."""
    found = (file for file in files(project) if file.match("app/modules/**/*.py") or file.match("app/modules/*.py"))
    return {str(file): (project / file).read_bytes() for file in found}


@pytest.mark.parametrize("auth", choices()["auth"])
def test_modules_are_the_same_with_and_without_workers(auth: str, render: Render) -> None:
    """Byte for byte; what workers bring are files of their own."""
    without, with_workers = (modules(render({"auth": auth, "workers": workers})) for workers in (False, True))

    assert "app/modules/user/service.py" in without
    added = with_workers.keys() - without.keys()
    assert with_workers == {**without, **{name: with_workers[name] for name in added}}
    assert {name for name in added if not name.startswith(BELONGS_TO_WORKERS)} == set()
