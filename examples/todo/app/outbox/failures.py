"""What is said about a job that failed, in its row and in the log.

Errors of Pydantic and of databases repeat the values they refuse. Those may be personal
data, so they are left out here; the errors of a task's own must not repeat them either.
"""

from traceback import format_tb

from pydantic import ValidationError
from sqlalchemy.exc import DataError, DBAPIError


class TryAgain(Exception):
    """Raise it, or a subclass, in a task that is to be tried again later. The log tells the text, and no traceback."""


def said(error: BaseException) -> str:
    """Name an error, and say what it says: its first line, for databases put rows into the others.

    Of a value that a database refuses, that line repeats the value as well; its name has to do.
    """
    if isinstance(error, ValidationError):
        problems = error.errors(include_input=False, include_url=False)
        text = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems)
    elif isinstance(error, DataError):
        text = type(error.orig).__name__
    else:
        text = str(error.orig if isinstance(error, DBAPIError) else error).partition("\n")[0]
    return f"{type(error).__name__}: {text}".removesuffix(": ")


def traced(error: BaseException) -> str:
    """Tell where an error happened, and which ones it came of."""
    told = f"{''.join(format_tb(error.__traceback__))}{said(error)}"
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return told if cause is None else f"{traced(cause)}\n\nAfter that:\n\n{told}"
