"""Where the command `app` starts."""

import gc


def main() -> None:
    """Run the command line.

    What it imports stays until the process ends, so the garbage collector is told to leave it alone: it would look
    through all of it while importing, in pauses of a server, and once more at the end. That is a third of the time of
    a short command.
    """
    gc.disable()
    from app.cli import app  # noqa: PLC0415 - this is what takes less time without the collector

    gc.freeze()
    gc.enable()
    app()
