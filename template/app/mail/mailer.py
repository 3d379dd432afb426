"""Sends emails in background tasks: a few concurrently, with retries, and a time limit to finish at shutdown."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from email.message import EmailMessage

import structlog
from fastapi import FastAPI
from pydantic import Field

from app.core.config import load
from app.core.runtime import Feature, Runtime
from app.mail import preview
from app.mail.message import Mail, compose
from app.mail.outbox import use_post_function
from app.mail.settings import MailSettings, sender_address
from app.mail.smtp import TRANSPORT_ERRORS, MailTransport, failure_fields, is_temporary, open_transport

MAX_CONNECTIONS = 5
RETRY_DELAYS_SECONDS = (1.0, 5.0, 25.0, 120.0)

logger = structlog.get_logger(__name__)


class MailerSettings(MailSettings):
    """Settings for sending from this process."""

    drain_seconds: float = Field(default=5, ge=0, description="Time limit to finish sending at shutdown.")


def _setup(app: FastAPI, runtime: Runtime) -> None:
    """Load the settings and, in development, add the email preview."""
    settings = runtime[MailerSettings] = load(MailerSettings)
    preview.attach(app, runtime, settings)


@asynccontextmanager
async def _lifespan(runtime: Runtime) -> AsyncGenerator[None]:
    """Send emails while the application runs."""
    async with run_mailer(runtime[MailerSettings]):
        yield


@asynccontextmanager
async def run_mailer(settings: MailerSettings) -> AsyncGenerator[None]:
    """Send emails while the block runs, and wait for unfinished ones at its end."""
    async with open_transport(settings) as way:
        mailer = Mailer(settings, way)
        with use_post_function(mailer.post):
            try:
                yield
            finally:
                await mailer.drain()


class Mailer:
    """Sends emails in asyncio tasks.

    Emails are kept in memory: those that cannot be sent before the process ends are lost, and their number is
    logged. If a connection breaks during delivery, an email may be sent twice, with the same Message-ID.
    """

    def __init__(
        self, settings: MailerSettings, deliver: MailTransport, pauses_seconds: Sequence[float] = RETRY_DELAYS_SECONDS
    ) -> None:
        """Send through `deliver`; after a temporary error, retry after each of the pauses."""
        self._sender = sender_address(settings.sender)
        self._drain_seconds = settings.drain_seconds
        self._deliver = deliver
        self._pauses_seconds = pauses_seconds
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self._pending: set[asyncio.Task[None]] = set()  # asyncio keeps only weak references to tasks

    def post(self, mail: Mail) -> None:
        """Start sending an email, without waiting for it."""
        task = asyncio.create_task(self._send(compose(mail, self._sender)))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def drain(self) -> None:
        """Wait for unfinished emails up to the time limit, then cancel the rest."""
        if not self._pending:
            return
        _, late = await asyncio.wait(self._pending, timeout=self._drain_seconds)
        for task in late:
            task.cancel()
        if late:
            logger.error("emails not sent, service is stopping", count=len(late))
            await asyncio.wait(late)

    async def _send(self, message: EmailMessage) -> None:
        """Retry until the email is sent or the error is permanent. The log contains no address and no content."""
        log = logger.bind(message_id=message["Message-ID"], to_domain=message["To"].addresses[0].domain)
        pauses = iter(self._pauses_seconds)
        while True:
            try:
                async with self._slots:
                    await self._deliver(message)
            except TRANSPORT_ERRORS as error:
                pause = next(pauses, None)
                if pause is None or not is_temporary(error):
                    log.error("email not sent", **failure_fields(error))  # noqa: TRY400 - the traceback would show the address
                    return
                log.warning("email delivery failed, retrying", **failure_fields(error), retry_in_seconds=pause)
                await asyncio.sleep(pause)
            else:
                log.info("email sent")
                return


feature = Feature(setup=_setup, lifespan=_lifespan)
