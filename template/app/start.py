"""Where the command `app` starts."""

import gc

# How many new objects the garbage collector waits for. With Python's 2,000 it looks through what a few requests are just
# working with, again and again, and finds next to nothing: reference counts have freed the rest. That is a tenth of a `GET`.
NEW_OBJECTS = 50_000


def main() -> None:
    """Run the command line.

    What it imports stays until the process ends, so the garbage collector is told to leave it alone: it would look
    through all of it while importing, in pauses of a server, and once more at the end. That is a third of the time of
    a short command.
    """
    gc.disable()
    from app.cli import app  # noqa: PLC0415 - this is what takes less time without the collector

    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)
    gc.enable()
    app()
