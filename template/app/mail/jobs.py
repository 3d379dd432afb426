"""Emails as jobs: enqueued in the transaction that requests them, and sent by a worker."""

import json
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.session import transaction
from app.mail import delivery, letters, outbox
from app.mail.delivery import MailNotSentYet, lifespan, prepare_development, setup
from app.mail.letters import Letter, P
from app.mail.message import Mail
from app.outbox.failures import TryAgain
from app.workers.arguments import arguments_of, read
from app.workers.task import Job, outside_task

__all__ = ["MailNotSentYet", "lifespan", "prepare_development", "send_letter", "send_mail", "setup"]

ATTEMPTS = 12  # within about half an hour
SECONDS = 60  # a server may be slow with each of its responses


class UnknownLetter(TryAgain):
    """This worker knows no deferred email of this name, for example because it runs an older version."""


@outside_task(attempts=ATTEMPTS, seconds=SECONDS)
async def send_mail(job: Job, *, to: str, subject: str, text: str, html: str) -> None:
    """Send an email."""
    await delivery.send(str(job.id), Mail(to, subject, text, html))


@outside_task(attempts=ATTEMPTS, seconds=SECONDS)
async def send_letter(job: Job, *, letter: str, arguments: dict[str, Any]) -> None:
    """Build and send a deferred email. Its changes are committed first, so that its link works when it arrives."""
    found = _find(letter)
    fitting = read(arguments_of(found.function), json.dumps(arguments))
    async with transaction(job.database.writers) as session:
        mail = await delivery.write(session, found, **fitting)
    if mail is not None:
        await delivery.send(str(job.id), mail)


def _find(letter: str) -> Letter[...]:
    try:
        return letters.find(letter)
    except LookupError as error:
        raise UnknownLetter(*error.args) from None


class _InRows:
    """Enqueues each email as a job, in the transaction that requests it."""

    def send(self, session: AsyncSession, mail: Mail) -> None:
        send_mail.enqueue(session, to=mail.to, subject=mail.subject, text=mail.text, html=mail.html)

    async def send_letter(
        self, session: AsyncSession, letter: Letter[P], /, *args: P.args, **arguments: P.kwargs
    ) -> None:
        packed = arguments_of(letter.function)(*args, **arguments).model_dump(mode="json")
        send_letter.enqueue(session, letter=letter.name, arguments=packed)


outbox.by_default(_InRows())
