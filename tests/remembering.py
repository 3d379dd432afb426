"""Copier with a memory: `python -P -m tests.remembering update` is `copier update`, in half of the time.

Copier compiles every part of every path each time it renders, and asks git about each file that it writes. Tests render
the same names a thousand times. What the README has people type is run by tests with the plain command.
"""

import hashlib
import marshal
import os
import runpy
from pathlib import Path
from types import CodeType
from typing import Any

from copier._main import Worker
from jinja2 import Environment

COMPILED = "COMPILED_TEMPLATES"
"""The environment variable with the folder in which all processes of a test run keep what was compiled."""

OPTIONS = (
    *("block_start_string", "block_end_string", "variable_start_string", "variable_end_string"),
    *("comment_start_string", "comment_end_string", "line_statement_prefix", "line_comment_prefix"),
    *("trim_blocks", "lstrip_blocks", "newline_sequence", "keep_trailing_newline", "optimized", "autoescape"),
)
"""What a template may set, and a text is then read otherwise."""

_compile = Environment.compile
_known: dict[str, CodeType] = {}


def remember() -> None:
    """Let Copier compile a text once, and not ask whether git ignores modes: no test tells git to."""
    Environment.compile = _compile_once  # ty: ignore[invalid-assignment]
    Worker._sync_git_index_executable_bit = lambda *_: None  # noqa: SLF001  # ty: ignore[invalid-assignment]


def _compile_once(
    self: Environment, source: Any, name: str | None = None, filename: str | None = None, **options: Any
) -> Any:
    """Compile a text, unless a process has with the same options."""
    if options or not isinstance(source, str):
        return _compile(self, source, name, filename, **options)
    about = (source, name, [getattr(self, option) for option in OPTIONS], sorted(self.extensions))
    key = hashlib.sha256(repr(about).encode()).hexdigest()
    if key not in _known:
        file = Path(os.environ[COMPILED], key)
        if not file.exists():
            own = file.with_suffix(f".{os.getpid()}")  # nobody reads half of it
            own.write_bytes(marshal.dumps(_compile(self, source, name, filename)))
            own.replace(file)
        _known[key] = marshal.loads(file.read_bytes())  # noqa: S302 - our own
    return _known[key]


if __name__ == "__main__":
    os.environ.pop("PYTHONPATH", None)  # what Copier starts shall not find this package
    remember()
    runpy.run_module("copier", run_name="__main__", alter_sys=True)
