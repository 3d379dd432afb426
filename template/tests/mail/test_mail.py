"""The feature: mails go to the server, or in development to the terminal."""

import sys
from contextlib import suppress

import pytest
from fastapi import FastAPI

from app import mail
from app.core.config import Environment
from app.db.session import Database, transaction
from app.mail import Mail, mailing, send_after_commit
from app.mail.settings import MailSettings
from tests.mail.conftest import Server, settings_for

MAIL = Mail("ada@example.com", "Grüße", "Hallo Zoë,\nhttps://app.example.com/verify#" + "x" * 60)


async def send(database: Database) -> None:
    async with transaction(database.writers) as session:
        send_after_commit(session, MAIL)


async def test_a_mail_reaches_the_server_before_the_app_has_stopped(server: Server, database: Database) -> None:
    app = FastAPI()
    mail.prepare_development()
    mail.setup(app)
    app.state.mail = settings_for(server)
    async with mail.lifespan(app):
        await send(database)

    assert server.mails[0].get_content().splitlines() == MAIL.text.splitlines()


async def test_mails_under_way_are_sent_although_the_app_stops_with_an_error(
    server: Server, database: Database
) -> None:
    with suppress(KeyError):
        async with mailing(settings_for(server)):
            await send(database)
            raise KeyError

    assert len(server.mails) == 1


SHOWN = f"""
{"─" * 72}
From: no-reply@localhost
To: ada@example.com
Subject: Grüße

{MAIL.text}
{"─" * 72}

"""


@pytest.mark.parametrize("installed", [True, False])
async def test_in_development_mails_are_shown(
    database: Database, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    if not installed:  # as in a container with the packages of production
        monkeypatch.delitem(sys.modules, "app.mail.catcher", raising=False)
        monkeypatch.setitem(sys.modules, "aiosmtpd", None)
        monkeypatch.setitem(sys.modules, "aiosmtpd.smtp", None)
    async with mailing(MailSettings(env=Environment.DEV)):
        await send(database)

    assert SHOWN in capsys.readouterr().err
