"""An in-process SMTP server for development. It prints emails and forwards nothing.

It needs aiosmtpd, a development dependency that is not installed in production.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from functools import cache

import structlog
from aiosmtpd.smtp import SMTP, Envelope, Session

from app.mail.terminal import print_email

ADDRESS = "127.0.0.1"

logger = structlog.get_logger(__name__)
logging.getLogger("mail.log").setLevel(logging.WARNING)


class _Shown:
    """aiosmtpd handler that prints the emails."""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Print an email. aiosmtpd requires the name of this method."""
        await print_email(message_from_bytes(envelope.original_content or b"", policy=policy.default))
        return "250 shown"


@cache
def _tell() -> None:
    """Log the hint only once per process: with workers, a server is started for each email."""
    logger.info("emails are printed, not sent; set SMTP_HOST to send them")


@asynccontextmanager
async def catching() -> AsyncGenerator[int]:
    """Listen on a free local port while the block runs, and yield the port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(_Shown(), hostname=ADDRESS, loop=loop), ADDRESS, 0)
    port: int = server.sockets[0].getsockname()[1]
    _tell()
    try:
        yield port
    finally:
        server.close()  # without waiting, because an open connection would delay the shutdown
