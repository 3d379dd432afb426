"""Maps database errors to domain errors and responses."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm.exc import StaleDataError

from app.core.exception_handlers import error_response
from app.core.exceptions import DomainError, PreconditionFailedError, UnavailableError
from app.db import dialect

logger = structlog.get_logger(__name__)


@contextmanager
def map_integrity_errors(errors: Mapping[str, type[DomainError]]) -> Generator[None]:
    """Convert violations of constraints to domain errors, by the name of the constraint.

    A violation of any other constraint is a bug: the `IntegrityError` is re-raised and results in a 500 response.
    """
    try:
        yield
    except IntegrityError as error:
        if known := errors.get(dialect.constraint_name(error) or ""):
            raise known from error
        raise


def add_exception_handlers(app: FastAPI) -> None:
    """Return 503 if the database is unavailable or overloaded, and 412 after a concurrent change."""
    for kind in (OperationalError, InterfaceError, PoolTimeoutError):
        app.add_exception_handler(kind, _unavailable)
    app.add_exception_handler(StaleDataError, _stale_data)


async def _unavailable(_: Request, error: Exception) -> JSONResponse:
    """Log the reason, but do not send it to the client: it contains hosts and statements."""
    logger.error("database unavailable", error=f"{type(error).__name__}: {str(error).splitlines()[0]}")
    return error_response(UnavailableError())


async def _stale_data(_: Request, __: Exception) -> JSONResponse:
    return error_response(PreconditionFailedError())
