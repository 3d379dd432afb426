"""Emails as jobs: enqueued in the transaction that sends them, and delivered by a worker.

Delivery is at least once. If a process dies after the server has accepted an email and before that is recorded, the
email is sent again with the same Message-ID, so that mail servers can recognize the duplicate.
"""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import structlog
from aiosmtplib import SMTPDataError, SMTPRecipientsRefused
from fastapi import FastAPI
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.config import load
from app.core.runtime import Feature, Runtime
from app.jobs.task import Job, Queue, get_task, non_transactional_task
from app.mail import preview
from app.mail.deferred import Build, DeferredEmail, P, build_email
from app.mail.message import Email, compose
from app.mail.settings import MailSettings, sender_address
from app.mail.smtp import TRANSPORT_ERRORS, failure_fields, is_temporary, success_event, transport
from app.outbox.errors import RetryLater

MAX_ATTEMPTS = 12  # within about half an hour
SEND_TIMEOUT_SECONDS = 60  # a server may be slow with each of its responses

logger = structlog.get_logger(__name__)
_email_task = non_transactional_task(max_attempts=MAX_ATTEMPTS, timeout_seconds=SEND_TIMEOUT_SECONDS, queue=Queue.EMAIL)


class EmailDeliveryDelayed(RetryLater):
    """The SMTP server is unavailable, rejects the email temporarily, or rejects our credentials or settings."""


def _setup(app: FastAPI, _: Runtime) -> None:
    """Check the settings and, in development, add the email preview."""
    preview.add_preview_page(app, load(MailSettings))


feature = Feature(setup=_setup)


async def send(session: AsyncSession, email: Email | DeferredEmail) -> None:
    """Send an email after the transaction of `session` commits; a rollback discards it.

    Until then, the database stores the email. Use a deferred email if it contains a secret.

    Raises:
        ValidationError: If the arguments of a deferred email have wrong types.
    """
    if isinstance(email, Email):
        send_email.enqueue(session, email=email)
    else:
        get_task(email.name).enqueue(session, **email.arguments)


@_email_task
async def send_email(job: Job, *, email: Email) -> None:
    """Send an email whose text is fixed."""
    await _deliver(email, job)


def deferred_email(function: Build[P]) -> Callable[P, DeferredEmail]:
    """Make a function a deferred email, and a task with its name.

    For example `async def welcome(session, *, user_id: UUID) -> Email | None`. It runs after the commit, in a separate
    transaction, and possibly again if sending fails. It returns None if there is no longer a reason to send the email.
    """

    @_email_task
    @wraps(function)
    async def send_deferred_email(job: Job, **arguments: Any) -> None:
        if email := await build_email(job.database, DeferredEmail(function, **arguments)):
            await _deliver(email, job)

    return partial(DeferredEmail, function)


async def _deliver(email: Email, job: Job) -> None:
    """Deliver an email in one attempt; raise `EmailDeliveryDelayed` if it should be retried.

    A permanent error of this email is only logged. Neither the log nor the exception contains the address, so the
    server's error text, which may quote it, is omitted.
    """
    settings = load(MailSettings)
    sender = sender_address(settings.sender)
    message = compose(email, sender, f"<{job.id}@{sender.domain}>")
    log = logger.bind(message_id=message["Message-ID"], to_domain=message["To"].addresses[0].domain)
    try:
        await transport(settings)(message)
    except TRANSPORT_ERRORS as error:
        failure = error
    else:
        log.info(success_event(settings))
        return
    if not _is_permanent(failure):
        raise EmailDeliveryDelayed(" ".join(str(part) for part in failure_fields(failure).values()))
    log.error("email not sent", **failure_fields(failure))


def _is_permanent(error: Exception) -> bool:
    """Return whether the server rejects this email permanently. Other errors concern our settings or the server."""
    return isinstance(error, SMTPRecipientsRefused | SMTPDataError) and not is_temporary(error)
