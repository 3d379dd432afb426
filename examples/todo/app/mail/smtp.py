"""Delivery of one email, to the SMTP server or in development to the terminal."""

from collections.abc import Awaitable, Callable
from email.message import EmailMessage
from functools import partial

import aiosmtplib
from aiosmtplib import SMTPException, SMTPRecipientsRefused, SMTPResponseException

from app.mail.settings import MailSettings, Tls, sender_address
from app.mail.terminal import print_email

MailTransport = Callable[[EmailMessage], Awaitable[None]]

# Exceptions of a transport. aiosmtplib raises ValueError for settings or responses that it cannot interpret.
TRANSPORT_ERRORS = (SMTPException, OSError, ValueError)


def transport(settings: MailSettings) -> MailTransport:
    """Return the function that delivers emails: to the SMTP server, or in development to the terminal."""
    return print_email if settings.host is None else partial(deliver, settings)


async def deliver(settings: MailSettings, message: EmailMessage) -> None:
    """Send a message to the SMTP server.

    The server's certificate must be trusted; `SSL_CERT_FILE` adds certificate authorities.

    Raises:
        SMTPException: If the server rejects the message or the credentials.
        OSError: If the server is unreachable.
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
    """Return whether a retry may succeed: the server is unreachable or reports 4xx (RFC 5321 §4.2.1)."""
    if isinstance(error, SMTPRecipientsRefused):
        return all(is_temporary(refused) for refused in error.recipients)
    if isinstance(error, SMTPResponseException):
        return 400 <= error.code < 500  # noqa: PLR2004
    return isinstance(error, OSError)


def success_event(settings: MailSettings) -> str:
    """Return the log event of a delivered email."""
    return "email printed" if settings.host is None else "email sent"


def failure_fields(error: Exception) -> dict[str, str | int]:
    """Return log fields for a delivery error. The text of the error is omitted, because it may contain the address."""
    fields: dict[str, str | int] = {"error": type(error).__name__}
    return fields | {"code": error.code} if isinstance(error, SMTPResponseException) else fields
