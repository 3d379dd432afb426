"""Logging: structlog for everything, a readable console in development and JSON elsewhere.

Records of the standard library (uvicorn, SQLAlchemy, Alembic, warnings) pass through
the same processors, so there is one format on one stream, standard error.
"""

import logging
import os
import sys
from typing import Any

import structlog

from app.core.config import Environment, Settings


def _drop_color_message(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Drop uvicorn's second, coloured copy of its message."""
    event.pop("color_message", None)
    return event


# One line for each file that is written anywhere, and six before each migration.
_TALKATIVE = ("watchfiles", "alembic.runtime.plugins", "httpx2")
_OURS: tuple[structlog.typing.Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.StackInfoRenderer(),
)
_OTHERS = (*_OURS, structlog.stdlib.ExtraAdder(), _drop_color_message)


def configure_logging(settings: Settings) -> None:
    """Send every log line of this process through structlog."""
    for_people = settings.env is Environment.DEV
    stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S" if for_people else "iso", utc=not for_people)
    structlog.configure(
        processors=[*_OURS, stamp, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=settings.env is Environment.PROD,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_OTHERS, stamp],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(settings)],
        )
    )
    logging.basicConfig(handlers=[handler], level=settings.log_level, force=True)
    logging.captureWarnings(True)
    # What no line shows need not be found out for each (https://docs.python.org/3/howto/logging.html#optimization).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    _adopt_uvicorn()


def _renderers(settings: Settings) -> list[structlog.typing.Processor]:
    """Choose how a line looks. Tracebacks are plain: the richer forms show local variables, and so secrets."""
    if settings.env is Environment.DEV:
        colors = sys.stderr.isatty() or bool(os.environ.get("FORCE_COLOR"))
        return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]


def _adopt_uvicorn() -> None:
    """Take uvicorn's own handlers away, and its access log: ours has the request id."""
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").disabled = True
