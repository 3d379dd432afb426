"""Sends mails in the background: a few at a time, again if the server is away, and to the end before a stop."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from email.message import EmailMessage

import structlog
from fastapi import FastAPI
from pydantic import Field

from app.core.config import load
from app.mail import preview
from app.mail.message import Mail, compose
from app.mail.outbox import posting
from app.mail.settings import MailSettings, sender_address
from app.mail.smtp import FAILURES, Deliver, is_temporary, reason, way_out

CONNECTIONS = 5
PAUSES_SECONDS = (1.0, 5.0, 25.0, 120.0)

logger = structlog.get_logger(__name__)


class MailerSettings(MailSettings):
    """What sending from this process needs as well."""

    drain_seconds: float = Field(default=5, ge=0, description="For mails under way when the service stops.")


def prepare_development() -> None:
    """Nothing: a server of our own is started with the app."""


def setup(app: FastAPI) -> None:
    """Read the settings, and show the mails in development."""
    app.state.mail = load(MailerSettings)
    preview.attach(app, app.state.mail)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Send mails while the app runs."""
    async with mailing(app.state.mail):
        yield


@asynccontextmanager
async def mailing(settings: MailerSettings) -> AsyncGenerator[None]:
    """Send mails while the block runs, and wait at its end for those under way."""
    async with way_out(settings) as way:
        mailer = Mailer(settings, way)
        with posting(mailer.post):
            try:
                yield
            finally:
                await mailer.drain()


class Mailer:
    """Takes mails and sends each when its turn comes.

    They are kept in memory: what cannot be sent before the process ends is lost, and logged as such.
    If a connection breaks at the wrong moment a mail is sent twice, with the same Message-ID.
    """

    def __init__(
        self, settings: MailerSettings, deliver: Deliver, pauses_seconds: Sequence[float] = PAUSES_SECONDS
    ) -> None:
        """Send through `deliver`, and again after each of the pauses while the server is away."""
        self._sender = sender_address(settings.sender)
        self._drain_seconds = settings.drain_seconds
        self._deliver = deliver
        self._pauses_seconds = pauses_seconds
        self._turns = asyncio.Semaphore(CONNECTIONS)
        self._under_way: set[asyncio.Task[None]] = set()  # asyncio itself keeps weak references only

    def post(self, mail: Mail) -> None:
        """Take a mail and return at once."""
        task = asyncio.create_task(self._send(compose(mail, self._sender)))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def drain(self) -> None:
        """Wait for the mails under way, but not for ever."""
        if not self._under_way:
            return
        _, late = await asyncio.wait(self._under_way, timeout=self._drain_seconds)
        for task in late:
            task.cancel()
        if late:
            logger.error("mails not sent: the service stops", count=len(late))
            await asyncio.wait(late)

    async def _send(self, message: EmailMessage) -> None:
        """Try until it works or there is no more hope. The log names no address and no content."""
        log = logger.bind(message_id=message["Message-ID"], to_domain=message["To"].addresses[0].domain)
        pauses = iter(self._pauses_seconds)
        while True:
            try:
                async with self._turns:
                    await self._deliver(message)
            except FAILURES as error:
                pause = next(pauses, None)
                if pause is None or not is_temporary(error):
                    log.error("mail not sent", **reason(error))  # noqa: TRY400 - the traceback would show the address
                    return
                log.warning("mail not sent yet", **reason(error), again_in_seconds=pause)
                await asyncio.sleep(pause)
            else:
                log.info("mail sent")
                return
