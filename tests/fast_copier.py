"""A patch for Copier that halves the CPU time of an update: `python -P -m tests.fast_copier update`.

See docs/decisions/0015-copier-compiles-each-string-once.md. Tests of the documented commands use the original Copier.
"""

import os
import runpy
from functools import cache

from copier._main import Worker
from jinja2.sandbox import SandboxedEnvironment

_create_environment = Worker.jinja_env.func


def patch_copier() -> None:
    """Make Copier compile each string only once, and assume that git does not ignore file modes, as in all tests."""
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
