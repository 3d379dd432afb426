"""What the database refuses, in the words of the domain."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm.exc import StaleDataError

from app.core.exception_handlers import problem, status_of
from app.core.exceptions import DomainError, PreconditionFailedError, UnavailableError
from app.db import dialect

logger = structlog.get_logger(__name__)


@contextmanager
def translating(errors: Mapping[str, type[DomainError]]) -> Generator[None]:
    """Turn a violated constraint into the domain error that stands for it, by the constraint's name.

    An unknown constraint stays what it is: a bug, and a 500.
    """
    try:
        yield
    except IntegrityError as error:
        if known := errors.get(dialect.constraint_name(error) or ""):
            raise known from error
        raise


def is_away(error: Exception) -> bool:
    """Tell whether the database cannot be reached or is overloaded, and it is not one statement that has failed.

    PostgreSQL tells by the class of its code: 08 connection, 53 resources, 57P shutdown or start
    (https://www.postgresql.org/docs/current/errcodes-appendix.html). There is none if it was not reached, and on SQLite.
    """
    if isinstance(error, OperationalError):
        return (getattr(error.orig, "sqlstate", None) or "08").startswith(("08", "53", "57P"))
    return isinstance(error, InterfaceError | PoolTimeoutError)


def register(app: FastAPI) -> None:
    """Answer 503 when the database is away or overloaded, 412 when two changes crossed."""
    for kind in (OperationalError, InterfaceError, PoolTimeoutError):
        app.add_exception_handler(kind, _unavailable)
    app.add_exception_handler(StaleDataError, _overtaken)


async def _unavailable(_: Request, error: Exception) -> JSONResponse:
    """Keep the reason for the log: it names hosts and statements."""
    logger.error("database unavailable or overloaded", error=f"{type(error).__name__}: {str(error).splitlines()[0]}")
    return _answer(UnavailableError)


async def _overtaken(_: Request, __: Exception) -> JSONResponse:
    return _answer(PreconditionFailedError)


def _answer(error: type[DomainError]) -> JSONResponse:
    return problem(status_of(error), error.code, error.message)
