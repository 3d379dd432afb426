"""Immediate delivery of one email, for callers that handle retries: jobs and event handlers.

Delivery is at least once. If a process dies after the server has accepted an email and before that is recorded, the
email is sent again with the same Message-ID, so that mail servers can recognize the duplicate.
"""

import structlog
from aiosmtplib import SMTPDataError, SMTPRecipientsRefused
from fastapi import FastAPI
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.config import load
from app.core.runtime import Feature, Runtime
from app.mail import preview
from app.mail.deferred import EmailBuilder, P
from app.mail.message import Mail, UnusableAddress, compose
from app.mail.settings import MailSettings, sender_address
from app.mail.smtp import TRANSPORT_ERRORS, failure_fields, is_temporary, open_transport
from app.outbox.errors import RetryLater

logger = structlog.get_logger(__name__)


class MailDeliveryDelayed(RetryLater):
    """The SMTP server is unavailable, rejects the email temporarily, or rejects our login or settings."""


def _setup(app: FastAPI, runtime: Runtime) -> None:
    """Check the settings and, in development, add the email preview."""
    preview.attach(app, runtime, load(MailSettings))


async def send_deferred_email(
    session: AsyncSession, name: str, letter: EmailBuilder[P], /, *args: P.args, **arguments: P.kwargs
) -> None:
    """Build and send a deferred email, inside the transaction of `session`.

    Args:
        session: Session to build the email with.
        name: Unique name of the email, for its Message-ID. It must be the same in every attempt.
        letter: The deferred email.
        *args: Always empty; deferred emails have only keyword arguments.
        **arguments: Arguments of the deferred email.

    Raises:
        MailDeliveryDelayed: If sending should be retried later.
    """
    if mail := await write(session, letter, *args, **arguments):
        await send(name, mail)


async def write(session: AsyncSession, letter: EmailBuilder[P], /, *args: P.args, **arguments: P.kwargs) -> Mail | None:
    """Build a deferred email; return None if there is nothing to send or the address is not supported."""
    try:
        async with session.begin_nested():
            return await letter.write(session, *args, **arguments)
    except UnusableAddress:
        logger.error("email not sent", letter=letter.name, error="UnusableAddress")  # noqa: TRY400 - no traceback
        return None


async def send(name: str, mail: Mail) -> None:
    """Send an email, in one attempt.

    A permanent error of this email is only logged. Neither the log nor the exception contains the address, so the
    server's error text, which may quote it, is omitted.

    Args:
        name: Unique name of the email, for its Message-ID. It must be the same in every attempt.
        mail: The email to send.

    Raises:
        MailDeliveryDelayed: If sending should be retried later.
    """
    settings = load(MailSettings)
    sender = sender_address(settings.sender)
    message = compose(mail, sender, f"<{name}@{sender.domain}>")
    log = logger.bind(message_id=message["Message-ID"], to_domain=message["To"].addresses[0].domain)
    try:
        async with open_transport(settings) as deliver:
            await deliver(message)
    except TRANSPORT_ERRORS as error:
        failure = error
    else:
        log.info("email sent")
        return
    if not _is_permanent(failure):
        raise MailDeliveryDelayed(" ".join(str(part) for part in failure_fields(failure).values() if part))
    log.error("email not sent", **failure_fields(failure))


def _is_permanent(error: Exception) -> bool:
    """Return whether the server rejects this email permanently. Other errors concern our settings or the server."""
    return isinstance(error, SMTPRecipientsRefused | SMTPDataError) and not is_temporary(error)


feature = Feature(setup=_setup)
