"""Logging with structlog: readable console output in development, JSON elsewhere.

Records of the standard library (uvicorn, SQLAlchemy, Alembic, warnings) pass through
the same processors, so that all lines have one format and go to standard error.
"""

import logging
import os
import sys
from typing import Any

import structlog

from app.core.config import Environment, Settings


def _drop_color_message(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Drop uvicorn's colored copy of the message."""
    event.pop("color_message", None)
    return event


# They log each file change, six lines before each migration, and each HTTP request.
_NOISY_LOGGERS = ("watchfiles", "alembic.runtime.plugins", "httpx2")
_SHARED_PROCESSORS: tuple[structlog.typing.Processor, ...] = (
    structlog.contextvars.merge_contextvars,
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
    _redirect_uvicorn_logs()


def _renderers(settings: Settings) -> list[structlog.typing.Processor]:
    """Return the output processors. Tracebacks are plain: rich ones show local variables, which may contain secrets."""
    if settings.env is Environment.DEV:
        colors = sys.stderr.isatty() or bool(os.environ.get("FORCE_COLOR"))
        return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]


def _redirect_uvicorn_logs() -> None:
    """Remove uvicorn's handlers, and its access log, since ours includes the request id."""
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").disabled = True
