"""Runs commands of `app`."""

import logging

import structlog
from typer.testing import CliRunner, Result

from app.cli import app
from tests.conftest import run_in_thread


def run_command(*arguments: object, typed: str | None = None) -> Result:
    """Run a command with some input, and restore the configuration of logging."""
    handlers = logging.getLogger().handlers[:]
    try:
        result: Result = run_in_thread(lambda: CliRunner().invoke(app, [str(each) for each in arguments], input=typed))
        return result
    finally:
        logging.getLogger().handlers[:] = handlers
        structlog.reset_defaults()
