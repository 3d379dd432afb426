"""The way to the mail server."""

from email.message import EmailMessage

import aiosmtplib
from aiosmtplib import SMTPRecipientsRefused, SMTPResponseException

from app.mail.settings import MailSettings, Tls


async def deliver(settings: MailSettings, message: EmailMessage) -> None:
    """Hand a mail to the server. A certificate that is not trusted ends it; `SSL_CERT_FILE` names further authorities.

    Raises:
        SMTPException: If the server refuses.
        OSError: If it cannot be reached.
    """
    await aiosmtplib.send(
        message,
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
