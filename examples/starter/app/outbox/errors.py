"""Describes errors of jobs and events, for the log and for the `last_error` column.

Errors of Pydantic and of databases repeat the rejected values, which may be personal data.
The values are removed here. Exceptions that tasks raise must not contain them either.
"""

from traceback import format_tb

from pydantic import ValidationError
from sqlalchemy.exc import DataError, DBAPIError

from app.db.dialect import is_unavailable


class ExpectedError(Exception):
    """Base class of errors that their message explains, so they are logged without a traceback."""


class RetryLater(ExpectedError):
    """Raise this, or a subclass, in a task or an event handler to be retried later."""


def error_fields(error: Exception) -> dict[str, str]:
    """Return the log fields of an error: `error` and, unless the error is expected, `exception` with the traceback."""
    fields = {"error": describe_error(error)}
    if isinstance(error, ExpectedError) or is_unavailable(error):
        return fields
    return fields | {"exception": format_error_traceback(error)}


def describe_error(error: BaseException) -> str:
    """Return the type of an error and the first line of its message.

    Databases put rows into the further lines. For a `DataError` even the first line contains the rejected value, so
    only its type is returned.
    """
    if isinstance(error, ValidationError):
        problems = error.errors(include_input=False, include_url=False)
        text = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems)
    elif isinstance(error, DataError):
        text = type(error.orig).__name__
    else:
        text = str(error.orig if isinstance(error, DBAPIError) else error).partition("\n")[0]
    return f"{type(error).__name__}: {text}".removesuffix(": ")


def format_error_traceback(error: BaseException) -> str:
    """Format the traceback of an error and of its causes, without rejected values."""
    text = f"{''.join(format_tb(error.__traceback__))}{describe_error(error)}"
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return (
        text if cause is None else f"{format_error_traceback(cause)}\n\nThe exception above led to this one:\n\n{text}"
    )
