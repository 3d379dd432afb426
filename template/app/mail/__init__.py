"""Mail: sent by SMTP in the background, after the commit.

In development, without a server, mails are shown on the terminal.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from app.core.config import load
from app.mail.mailer import Deliver, Mailer
from app.mail.message import Mail, UnusableAddress
from app.mail.outbox import posting, send_after_commit
from app.mail.settings import MailSettings, Tls
from app.mail.smtp import deliver
from app.mail.terminal import show

__all__ = ["Mail", "UnusableAddress", "lifespan", "mailing", "prepare_development", "send_after_commit", "setup"]


def prepare_development() -> None:
    """Nothing: a server of our own is started with the app."""


def setup(app: FastAPI) -> None:
    """Read the settings."""
    app.state.mail = load(MailSettings)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Send mails while the app runs."""
    async with mailing(app.state.mail):
        yield


@asynccontextmanager
async def mailing(settings: MailSettings) -> AsyncGenerator[None]:
    """Send mails while the block runs, and wait at its end for those under way."""
    async with _way_out(settings) as way:
        mailer = Mailer(settings, way)
        with posting(mailer.post):
            try:
                yield
            finally:
                await mailer.drain()


@asynccontextmanager
async def _way_out(settings: MailSettings) -> AsyncGenerator[Deliver]:
    """Find where mails go: to the server, or in development to the terminal."""
    if settings.host is not None:
        yield partial(deliver, settings)
        return
    try:
        from app.mail.catcher import ADDRESS, catching  # noqa: PLC0415 - its package is installed for development only
    except ModuleNotFoundError:  # a development container has the packages of production
        yield show
        return
    async with catching() as port:
        yield partial(
            deliver,
            settings.model_copy(
                update={"host": ADDRESS, "port": port, "tls": Tls.NONE, "username": None, "password": None}
            ),
        )
