"""Where the command `app` starts, and where each process begins that answers."""

import gc
from collections.abc import Generator
from contextlib import contextmanager

from fastapi import FastAPI

# How many new objects the garbage collector waits for. With Python's 2,000 it looks through what a few requests are just
# working with, again and again, and finds next to nothing: reference counts have freed the rest. That is a tenth of a `GET`.
NEW_OBJECTS = 50_000


def main() -> None:
    """Run the command line."""
    with _for_good():
        from app.cli import app  # noqa: PLC0415 - this is what takes less time without the collector

    app()


def create_app() -> FastAPI:
    """Make the app of a process that answers: one of several is started anew, and has not come through `main`."""
    with _for_good():
        from app.main import create_app as create  # noqa: PLC0415 - as above

        return create()


@contextmanager
def _for_good() -> Generator[None]:
    """Make what stays until the process ends, and tell the garbage collector to leave it alone.

    It would look through all of it while importing, in pauses of a server, and once more at the
    end. That is a third of the time of a short command.
    """
    gc.disable()
    yield
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)
    gc.enable()
