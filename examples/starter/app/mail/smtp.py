"""The way to the mail server."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.message import EmailMessage
from functools import partial

import aiosmtplib
from aiosmtplib import SMTPException, SMTPRecipientsRefused, SMTPResponseException

from app.mail.settings import MailSettings, Tls, sender_address
from app.mail.terminal import show

Deliver = Callable[[EmailMessage], Awaitable[None]]

# What `deliver` may raise; ValueError is what the library makes of settings or answers it does not understand.
FAILURES = (SMTPException, OSError, ValueError)


@asynccontextmanager
async def way_out(settings: MailSettings) -> AsyncGenerator[Deliver]:
    """Find where mails go: to the server, or in development to the terminal."""
    if settings.host is not None:
        yield partial(deliver, settings)
        return
    try:
        from app.mail.catcher import ADDRESS, catching  # noqa: PLC0415 - its package is installed for development only
    except ModuleNotFoundError:  # a development container has the packages of production
        yield show
        return
    async with catching() as port:
        own = {"host": ADDRESS, "port": port, "tls": Tls.NONE, "username": None, "password": None}
        yield partial(deliver, settings.model_copy(update=own))


async def deliver(settings: MailSettings, message: EmailMessage) -> None:
    """Hand a mail to the server. A certificate that is not trusted ends it; `SSL_CERT_FILE` names further authorities.

    Raises:
        SMTPException: If the server refuses.
        OSError: If it cannot be reached.
    """
    await aiosmtplib.send(
        message,
        sender=settings.bounce_address or sender_address(settings.sender).addr_spec,
        hostname=settings.host,
        port=settings.port,
        username=settings.username,
        password=settings.password.get_secret_value() if settings.password else None,
        use_tls=settings.tls is Tls.TLS,
        start_tls=settings.tls is Tls.STARTTLS,
        timeout=settings.timeout_seconds,
    )


def is_temporary(error: Exception) -> bool:
    """Tell whether it may work in a moment: the server is away, or says so itself (4xx, RFC 5321 §4.2.1)."""
    if isinstance(error, SMTPRecipientsRefused):
        return all(is_temporary(refused) for refused in error.recipients)
    if isinstance(error, SMTPResponseException):
        return 400 <= error.code < 500  # noqa: PLR2004
    return isinstance(error, OSError)


def reason(error: Exception) -> dict[str, str | int | None]:
    """Say why a mail was not sent, for the log: the error's own text may name the address."""
    return {"error": type(error).__name__, "code": getattr(error, "code", None)}
