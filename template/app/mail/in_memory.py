"""Keeps emails in memory until the commit, then builds and sends them in the background.

A few are sent concurrently, with retries, and with a time limit to finish at shutdown.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from email.message import EmailMessage
from functools import partial
from traceback import format_tb

import structlog
from fastapi import FastAPI
from pydantic import Field
from sqlalchemy import event
from sqlalchemy.orm import Session
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.config import load
from app.core.runtime import Feature, Runtime
from app.db.dialect import is_unavailable
from app.db.session import Database
from app.mail import preview
from app.mail.deferred import Build, DeferredEmail, P, build_email
from app.mail.message import Email, compose
from app.mail.settings import MailSettings, sender_address
from app.mail.smtp import TRANSPORT_ERRORS, failure_fields, is_temporary, success_event, transport

MAX_CONNECTIONS = 5
RETRY_DELAYS_SECONDS = (1.0, 5.0, 25.0, 120.0)
PENDING_EMAILS = "emails to send after the commit"

logger = structlog.get_logger(__name__)

_queues: list["EmailQueue"] = []  # those of running applications, to which a session has no access


class InMemorySettings(MailSettings):
    """Settings for sending from this process."""

    drain_seconds: float = Field(default=5, ge=0, description="Time limit to finish sending at shutdown.")


def _setup(app: FastAPI, runtime: Runtime) -> None:
    """Load the settings and, in development, add the email preview."""
    settings = runtime[InMemorySettings] = load(InMemorySettings)
    preview.add_preview_page(app, settings)


@asynccontextmanager
async def _lifespan(runtime: Runtime) -> AsyncGenerator[None]:
    """Send emails while the application runs."""
    async with sending(runtime[Database], runtime[InMemorySettings]):
        yield


feature = Feature(setup=_setup, lifespan=_lifespan)


async def send(session: AsyncSession, email: Email | DeferredEmail) -> None:
    """Send an email after the transaction of `session` commits; a rollback discards it.

    Raises:
        RuntimeError: If the application is not running, or inside `begin_nested`, which could be rolled back separately.
    """
    if not _queues:
        raise RuntimeError("Emails can only be sent while the lifespan of the application is running.")
    if session.in_nested_transaction():
        raise RuntimeError("Emails cannot be sent inside begin_nested. Send them outside of it.")
    session.info.setdefault(PENDING_EMAILS, []).append((_queues[-1], email))


@event.listens_for(Session, "after_commit")
def _send_pending(session: Session) -> None:
    """Send the pending emails. SQLAlchemy also emits this event at the end of `begin_nested`, which is no commit."""
    if not session.in_nested_transaction():
        for queue, email in session.info.pop(PENDING_EMAILS, ()):
            queue.put(email)


@event.listens_for(Session, "after_rollback")
def _discard_pending(session: Session) -> None:
    if not session.in_nested_transaction():
        session.info.pop(PENDING_EMAILS, None)


def deferred_email(function: Build[P]) -> Callable[P, DeferredEmail]:
    """Make a function a deferred email, for example `async def welcome(session, *, user_id: UUID) -> Email | None`.

    It runs after the commit, in a separate transaction, and possibly again if the database is unavailable. It returns
    None if there is no longer a reason to send the email.
    """
    return partial(DeferredEmail, function)


@asynccontextmanager
async def sending(
    database: Database, settings: InMemorySettings, pauses_seconds: Sequence[float] = RETRY_DELAYS_SECONDS
) -> AsyncGenerator["EmailQueue"]:
    """Send emails while the block runs, and wait for unfinished ones at its end."""
    queue = EmailQueue(database, settings, pauses_seconds)
    _queues.append(queue)
    try:
        yield queue
    finally:
        _queues.remove(queue)
        await queue.drain()


class EmailQueue:
    """Sends emails in asyncio tasks.

    Emails that cannot be sent before the process ends are lost. At shutdown, their number is logged; after a crash, it is not. If a connection breaks
    during delivery, an email may be sent twice, with the same Message-ID.
    """

    def __init__(self, database: Database, settings: InMemorySettings, pauses_seconds: Sequence[float]) -> None:
        """Build emails with `database`; after a temporary error, retry after each of the pauses."""
        self._database = database
        self._sender = sender_address(settings.sender)
        self._drain_seconds = settings.drain_seconds
        self._deliver = transport(settings)
        self._success_event = success_event(settings)
        self._pauses_seconds = pauses_seconds
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self._pending: set[asyncio.Task[None]] = set()  # asyncio keeps only weak references to tasks

    def put(self, email: Email | DeferredEmail) -> None:
        """Start sending an email, without waiting for it."""
        task = asyncio.create_task(self._send(email))
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
            logger.error("emails not sent, process is stopping", count=len(late))
            await asyncio.wait(late)

    async def _send(self, email: Email | DeferredEmail) -> None:
        """Build an email and deliver it. Retry after temporary errors, also of the database."""
        message: EmailMessage | None = None
        log = logger if isinstance(email, Email) else logger.bind(deferred_email=email.name)
        pauses = iter(self._pauses_seconds)
        while True:
            try:
                async with self._slots:
                    if message is None:
                        built = email if isinstance(email, Email) else await build_email(self._database, email)
                        if built is None:
                            return
                        message = compose(built, self._sender)
                        log = logger.bind(message_id=message["Message-ID"], to_domain=message["To"].addresses[0].domain)
                    await self._deliver(message)
            except Exception as error:  # noqa: BLE001 - a builder may raise anything
                pause = next(pauses, None)
                if pause is None or not (is_temporary(error) or is_unavailable(error)):
                    log.error("email not sent", **failure_fields(error), **_traceback(error))  # noqa: TRY400 - see below
                    return
                log.warning("email delivery failed, retrying", **failure_fields(error), retry_in_seconds=pause)
                await asyncio.sleep(pause)
            else:
                log.info(self._success_event)
                return


def _traceback(error: Exception) -> dict[str, str]:
    """Return the traceback of a bug, without the message, which may contain an address. Others need none."""
    if isinstance(error, TRANSPORT_ERRORS) or is_unavailable(error):
        return {}
    return {"exception": "".join(format_tb(error.__traceback__))}
