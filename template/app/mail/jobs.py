"""Emails as jobs: enqueued in the transaction that requests them, and sent by a worker."""

import json
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.session import transaction
from app.jobs.arguments import arguments_model, parse_arguments
from app.jobs.task import Job, non_transactional_task
from app.mail import deferred, delivery, outbox
from app.mail.deferred import EmailBuilder, P
from app.mail.delivery import MailDeliveryDelayed, feature
from app.mail.message import Mail
from app.outbox.errors import RetryLater

__all__ = ["MailDeliveryDelayed", "feature", "send_deferred_email", "send_mail"]

MAX_ATTEMPTS = 12  # within about half an hour
SEND_TIMEOUT_SECONDS = 60  # a server may be slow with each of its responses


class UnknownEmail(RetryLater):
    """This worker knows no deferred email of this name, for example because it runs an older version."""


@non_transactional_task(max_attempts=MAX_ATTEMPTS, timeout_seconds=SEND_TIMEOUT_SECONDS)
async def send_mail(job: Job, *, to: str, subject: str, text: str, html: str) -> None:
    """Send an email."""
    await delivery.send(str(job.id), Mail(to, subject, text, html))


@non_transactional_task(max_attempts=MAX_ATTEMPTS, timeout_seconds=SEND_TIMEOUT_SECONDS)
async def send_deferred_email(job: Job, *, letter: str, arguments: dict[str, Any]) -> None:
    """Build and send a deferred email. Its changes are committed first, so that its link works when it arrives."""
    found = _find(letter)
    fitting = parse_arguments(arguments_model(found.function), json.dumps(arguments))
    async with transaction(job.database.write) as session:
        mail = await delivery.write(session, found, **fitting)
    if mail is not None:
        await delivery.send(str(job.id), mail)


def _find(letter: str) -> EmailBuilder[...]:
    try:
        return deferred.get_builder(letter)
    except LookupError as error:
        raise UnknownEmail(*error.args) from None


class JobBackend:
    """Enqueues each email as a job, in the transaction that requests it."""

    def send(self, session: AsyncSession, mail: Mail) -> None:
        send_mail.enqueue(session, to=mail.to, subject=mail.subject, text=mail.text, html=mail.html)

    async def send_deferred_email(
        self, session: AsyncSession, letter: EmailBuilder[P], /, *args: P.args, **arguments: P.kwargs
    ) -> None:
        packed = arguments_model(letter.function)(*args, **arguments).model_dump(mode="json")
        send_deferred_email.enqueue(session, letter=letter.name, arguments=packed)


outbox.set_default_backend(JobBackend())
