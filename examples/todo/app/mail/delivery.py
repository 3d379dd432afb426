"""Sending one mail now, for those who know what to do when that fails.

A mail is sent at least once. If a process dies after the server has taken it and before that
is written down, it is sent again with the same Message-ID, by which servers know it.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import structlog
from aiosmtplib import SMTPDataError, SMTPRecipientsRefused
from fastapi import FastAPI
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.config import load
from app.mail import preview
from app.mail.letters import Letter, P
from app.mail.message import Mail, UnusableAddress, compose
from app.mail.settings import MailSettings, sender_address
from app.mail.smtp import FAILURES, is_temporary, reason, way_out
from app.outbox.failures import TryAgain

logger = structlog.get_logger(__name__)


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


async def send_letter(
    session: AsyncSession, name: str, letter: Letter[P], /, *args: P.args, **arguments: P.kwargs
) -> None:
    """Write a letter and send it, inside the transaction of `session`.

    Args:
        session: What it is written in.
        name: What tells this mail from all others, however often it is sent.
        letter: What is written.
        *args: Nothing; letters take names.
        **arguments: What about.

    Raises:
        MailNotSentYet: If it is worth another try.
    """
    if mail := await write(session, letter, *args, **arguments):
        await send(name, mail)


async def write(session: AsyncSession, letter: Letter[P], /, *args: P.args, **arguments: P.kwargs) -> Mail | None:
    """Write a letter; nothing, if there is nobody or nothing to write about, or no mail can reach them."""
    try:
        async with session.begin_nested():
            return await letter.write(session, *args, **arguments)
    except UnusableAddress:
        logger.error("mail not sent", letter=letter.name, error="UnusableAddress")  # noqa: TRY400 - it says all there is
        return None


async def send(name: str, mail: Mail) -> None:
    """Try once. Neither the log nor the error names the address: the server's own text may do so, and is left out.

    Args:
        name: What tells this mail from all others, however often it is sent.
        mail: What is sent.

    Raises:
        MailNotSentYet: If it is worth another try.
    """
    settings = load(MailSettings)
    sender = sender_address(settings.sender)
    message = compose(mail, sender, f"<{name}@{sender.domain}>")
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
