"""Mails as jobs: each waits in the outbox, in the transaction that asks for it, and is sent by a worker.

A mail is sent at least once. If a worker dies after the server has taken it and before that
is written down, it is sent again with the same Message-ID, by which servers know it.
"""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from aiosmtplib import SMTPDataError, SMTPRecipientsRefused
from fastapi import FastAPI
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.config import load
from app.db.session import transaction
from app.mail import letters, outbox, preview
from app.mail.letters import Letter, P
from app.mail.message import Mail, UnusableAddress, compose
from app.mail.settings import MailSettings, sender_address
from app.mail.smtp import FAILURES, is_temporary, reason, way_out
from app.workers.arguments import arguments_of, read
from app.workers.failures import TryAgain
from app.workers.task import Job, outside_task

ATTEMPTS = 12  # within about half an hour
SECONDS = 60  # a server may be slow with each of its answers

logger = structlog.get_logger(__name__)


class UnknownLetter(TryAgain):
    """There is no letter of this name here, for example because this worker is older than who asked for it."""


class MailNotSentYet(TryAgain):
    """The server is away, may take the mail later, or refuses us: nothing that the mail can help."""


def prepare_development() -> None:
    """Nothing: a server of our own is started when there is a mail."""


def setup(app: FastAPI) -> None:
    """Read the settings, and show the mails in development."""
    preview.attach(app, load(MailSettings))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:  # noqa: ARG001 - every feature is called alike
    """Open nothing: each mail has a connection of its own."""
    yield


@outside_task(attempts=ATTEMPTS, seconds=SECONDS)
async def send_mail(job: Job, *, to: str, subject: str, text: str, html: str) -> None:
    """Send a mail that is written."""
    await _send(job, Mail(to, subject, text, html))


@outside_task(attempts=ATTEMPTS, seconds=SECONDS)
async def send_letter(job: Job, *, letter: str, arguments: dict[str, Any]) -> None:
    """Write a mail and send it. What was written before is committed: its link works before it can arrive."""
    found = _find(letter)
    fitting = read(arguments_of(found.function), json.dumps(arguments))
    try:
        async with transaction(job.database.writers) as session:
            mail = await found.write(session, **fitting)
    except UnusableAddress:
        logger.error("mail not sent", letter=letter, error="UnusableAddress")  # noqa: TRY400 - it says all there is
        return
    if mail is not None:
        await _send(job, mail)


def _find(letter: str) -> Letter[...]:
    try:
        return letters.find(letter)
    except LookupError as error:
        raise UnknownLetter(*error.args) from None


async def _send(job: Job, mail: Mail) -> None:
    """Try once. Neither the log nor the row names the address: the error's own text may do so, and is left out.

    Raises:
        MailNotSentYet: If it is worth another try.
    """
    settings = load(MailSettings)
    sender = sender_address(settings.sender)
    message = compose(mail, sender, f"<{job.id}@{sender.domain}>")
    log = logger.bind(message_id=message["Message-ID"], to_domain=message["To"].addresses[0].domain)
    try:
        async with way_out(settings) as deliver:
            await deliver(message)
    except FAILURES as error:
        failure = error
    else:
        log.info("mail sent")
        return
    if not _is_about_the_mail(failure):
        raise MailNotSentYet(" ".join(str(part) for part in reason(failure).values() if part))
    log.error("mail not sent", **reason(failure))


def _is_about_the_mail(error: Exception) -> bool:
    """Tell whether it is this mail that the server will never take, and not our settings or the server itself."""
    return isinstance(error, SMTPRecipientsRefused | SMTPDataError) and not is_temporary(error)


class _InRows:
    """Mails wait in the database, as rows of the transaction that asks for them."""

    def send(self, session: AsyncSession, mail: Mail) -> None:
        send_mail.enqueue(session, to=mail.to, subject=mail.subject, text=mail.text, html=mail.html)

    async def send_letter(
        self, session: AsyncSession, letter: Letter[P], /, *args: P.args, **arguments: P.kwargs
    ) -> None:
        packed = arguments_of(letter.function)(*args, **arguments).model_dump(mode="json")
        send_letter.enqueue(session, letter=letter.name, arguments=packed)


outbox.by_default(_InRows())
