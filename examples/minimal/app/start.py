"""Entry points of the `app` command and of each server process."""

import gc
from collections.abc import Generator
from contextlib import contextmanager

from fastapi import FastAPI

# Allocations before the garbage collector runs. With Python's default of 2,000 it repeatedly scans the objects of a few
# running requests and finds almost nothing, because reference counting has freed the rest. That costs 10% of a `GET`.
GC_THRESHOLD = 50_000


def main() -> None:
    """Run the command line."""
    with _excluded_from_gc():
        from app.cli import app  # noqa: PLC0415 - importing is faster without the garbage collector

    app()


def create_app() -> FastAPI:
    """Create the app of a server process. With several workers, these start here and not in `main`."""
    with _excluded_from_gc():
        from app.main import create_app as create  # noqa: PLC0415 - as above

        return create()


@contextmanager
def _excluded_from_gc() -> Generator[None]:
    """Exclude the objects that the block creates from garbage collection.

    Otherwise they are scanned while importing, during requests, and at exit, which takes a
    third of the time of a short command.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        gc.enable()
