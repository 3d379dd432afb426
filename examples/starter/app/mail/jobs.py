"""Emails as jobs: enqueued in the transaction that requests them, and sent by a worker.

Delivery is at least once. If a process dies after the server has accepted an email and before that is recorded, the
email is sent again with the same Message-ID, so that mail servers can recognize the duplicate.
"""

import json
from pkgutil import resolve_name
from typing import Any

import structlog
from aiosmtplib import SMTPDataError, SMTPRecipientsRefused
from fastapi import FastAPI
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.config import load
from app.core.runtime import Feature, Runtime
from app.jobs.arguments import arguments_model, parse_arguments
from app.jobs.task import Job, Queue, non_transactional_task
from app.mail import after_commit, preview
from app.mail.deferred import DeferredEmail, EmailBuilder, build_email, deferred_email
from app.mail.message import Email, compose
from app.mail.settings import MailSettings, sender_address
from app.mail.smtp import TRANSPORT_ERRORS, failure_fields, is_temporary, success_event, transport
from app.outbox.errors import RetryLater

MAX_ATTEMPTS = 12  # within about half an hour
SEND_TIMEOUT_SECONDS = 60  # a server may be slow with each of its responses

logger = structlog.get_logger(__name__)


class EmailDeliveryDelayed(RetryLater):
    """The SMTP server is unavailable, rejects the email temporarily, or rejects our credentials or settings."""


class UnknownEmail(RetryLater):
    """This worker knows no deferred email of this name, for example because it runs an older version."""


def _setup(app: FastAPI, _: Runtime) -> None:
    """Check the settings and, in development, add the email preview."""
    preview.add_preview_page(app, load(MailSettings))


feature = Feature(setup=_setup)


class JobBackend:
    """Enqueues each email as a job, in the transaction that requests it."""

    async def send(self, session: AsyncSession, email: Email | DeferredEmail) -> None:
        """Enqueue one job, after validating the arguments of a deferred email."""
        if isinstance(email, Email):
            email = rendered(to=email.to, subject=email.subject, text=email.text, html=email.html)
        arguments = arguments_model(email.builder.function)(**email.arguments).model_dump(mode="json")
        send_email.enqueue(session, email=email.builder.name, arguments=arguments)


after_commit.set_default_backend(JobBackend())


@deferred_email
async def rendered(session: AsyncSession, *, to: str, subject: str, text: str, html: str) -> Email:  # noqa: ARG001
    """Return an email whose text is fixed."""
    return Email(to, subject, text, html)


@non_transactional_task(max_attempts=MAX_ATTEMPTS, timeout_seconds=SEND_TIMEOUT_SECONDS, queue=Queue.EMAIL)
async def send_email(job: Job, *, email: str, arguments: dict[str, Any]) -> None:
    """Build an email and send it, without an open transaction."""
    builder = _find_builder(email)
    parsed = parse_arguments(arguments_model(builder.function), json.dumps(arguments))
    if built := await build_email(job.database, builder(**parsed)):
        await _deliver(built, str(job.id))


def _find_builder(name: str) -> EmailBuilder[...]:
    try:
        builder = resolve_name(name)
    except (ImportError, AttributeError):
        builder = None
    if not isinstance(builder, EmailBuilder):
        raise UnknownEmail(f"There is no deferred email {name}. It may have been renamed while emails were pending.")
    return builder


async def _deliver(email: Email, message_id: str) -> None:
    """Deliver an email in one attempt; raise `EmailDeliveryDelayed` if it should be retried.

    A permanent error of this email is only logged. Neither the log nor the exception contains the address, so the
    server's error text, which may quote it, is omitted.
    """
    settings = load(MailSettings)
    sender = sender_address(settings.sender)
    message = compose(email, sender, f"<{message_id}@{sender.domain}>")
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
