"""`python -P -m tests.fast_copier update` is `copier update` in half of the CPU time, with the change we propose to Copier.

docs/decisions/0015-copier-compiles-each-string-once.md has the change and the figures. The commands that users type are
tested with the plain command.
"""

import os
import runpy
from functools import cache

from copier._main import Worker
from jinja2.sandbox import SandboxedEnvironment

_create_environment = Worker.jinja_env.func


def patch_copier() -> None:
    """Let Copier compile each string once, and not ask for each file whether git ignores modes: no test lets git do that."""
    Worker.jinja_env.func = _create_caching_environment  # ty: ignore[invalid-assignment]
    Worker._sync_git_index_executable_bit = lambda *_: None  # noqa: SLF001  # ty: ignore[invalid-assignment]


def _create_caching_environment(worker: Worker) -> SandboxedEnvironment:
    environment = _create_environment(worker)
    environment.from_string = cache(environment.from_string)  # ty: ignore[invalid-assignment]
    return environment


if __name__ == "__main__":
    os.environ.pop("PYTHONPATH", None)  # programs that Copier starts must not import this package
    patch_copier()
    runpy.run_module("copier", run_name="__main__", alter_sys=True)
