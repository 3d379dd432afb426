"""A mail server for development, in this process. It shows what it gets and sends nothing on.

Its package is a development dependency, so production has neither it nor this file's use.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from functools import cache

import structlog
from aiosmtpd.smtp import SMTP, Envelope, Session

from app.mail.terminal import show

ADDRESS = "127.0.0.1"

logger = structlog.get_logger(__name__)
logging.getLogger("mail.log").setLevel(logging.WARNING)


class _Shown:
    """Receives the mails."""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Show one; aiosmtpd calls it by this name."""
        await show(message_from_bytes(envelope.original_content or b"", policy=policy.default))
        return "250 shown"


@cache
def _tell() -> None:
    """Say it once, however often this begins: with workers each mail has a server of its own."""
    logger.info("mails are shown here and on /dev/mails, and not sent: set SMTP_HOST to send them")


@asynccontextmanager
async def catching() -> AsyncGenerator[int]:
    """Listen on a free port of this machine while the block runs, and tell which."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(_Shown(), hostname=ADDRESS, loop=loop), ADDRESS, 0)
    port: int = server.sockets[0].getsockname()[1]
    _tell()
    try:
        yield port
    finally:
        server.close()  # without waiting: somebody who is still connected would hold up the stop
