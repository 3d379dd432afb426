"""Logging with structlog: readable console output in development, JSON elsewhere.

Records of the standard library (uvicorn, SQLAlchemy, Alembic, warnings) pass through
the same processors, so that all lines have one format and go to standard error.
"""

import logging
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import structlog

from app.core.config import Environment, Settings


def _drop_color_message(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Drop uvicorn's colored copy of the message."""
    event.pop("color_message", None)
    return event


def _hide_fields(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {name: value for name, value in event.items() if name not in hidden_on_console}


def _put_common_fields_first(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {**{name: event[name] for name in _COMMON_FIELDS if name in event}, **event}


def _add_process_fields(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {**event, **_process_fields}


def _is_migration_step(record: logging.LogRecord) -> bool:
    """Return whether Alembic logs a migration, and not which database it uses."""
    return not str(record.msg).startswith(("Context impl ", "Will assume "))


# Fields that only software reads. Packages add theirs.
hidden_on_console: set[str] = set()
# Fields of all lines of this process. Not context variables, which the threads of libraries do not inherit.
_process_fields: dict[str, str] = {}
_COMMON_FIELDS = ("timestamp", "level", "event", "logger")
# They log each file change, six lines before each migration, and each HTTP request.
_NOISY_LOGGERS = ("watchfiles", "alembic.runtime.plugins", "httpx2")
_SHARED_PROCESSORS: tuple[structlog.typing.Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    _add_process_fields,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.StackInfoRenderer(),
)
_FOREIGN_PROCESSORS = (*_SHARED_PROCESSORS, structlog.stdlib.ExtraAdder(), _drop_color_message)


def configure_logging(settings: Settings) -> None:
    """Configure logging of this process; everything goes through structlog."""
    human_readable = settings.env is Environment.DEV
    stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S" if human_readable else "iso", utc=not human_readable)
    structlog.configure(
        processors=[*_SHARED_PROCESSORS, stamp, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=settings.env is Environment.PROD,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_FOREIGN_PROCESSORS, stamp],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(settings)],
        )
    )
    logging.basicConfig(handlers=[handler], level=settings.log_level, force=True)
    logging.captureWarnings(True)
    # Skip record fields that the format does not use (https://docs.python.org/3/howto/logging.html#optimization).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    for name in _NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("alembic.runtime.migration").addFilter(_is_migration_step)
    _redirect_uvicorn_logs()


@contextmanager
def named_process(name: str) -> Generator[None]:
    """Add the name of the process to all log lines of the block."""
    _process_fields["process"] = name
    try:
        yield
    finally:
        _process_fields.clear()


def _renderers(settings: Settings) -> list[structlog.typing.Processor]:
    """Return the output processors. Tracebacks are plain: rich ones show local variables, which may contain secrets."""
    if settings.env is Environment.DEV:
        colors = sys.stderr.isatty() or bool(os.environ.get("FORCE_COLOR"))
        plain = structlog.dev.plain_traceback
        console = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain, sort_keys=False)
        return [_hide_fields, console]
    json = structlog.processors.JSONRenderer(ensure_ascii=False)
    return [structlog.processors.format_exc_info, _put_common_fields_first, json]


def _redirect_uvicorn_logs() -> None:
    """Remove uvicorn's handlers, and its access log, since ours includes the request id."""
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").disabled = True
