"""Email transport: the SMTP server, or in development the terminal."""

import pytest

from app.core.config import Environment
from app.mail import Email
from app.mail.message import compose
from app.mail.settings import MailSettings, sender_address
from app.mail.smtp import success_event, transport
from app.mail.terminal import MAX_KEPT, TERMINAL_HINT, print_email, printed_emails
from tests.mail.conftest import FakeMailServer, settings_for

EMAIL = Email("ada@example.com", "Grüße", "Hallo Zoë,\nhttps://app.example.com/verify#" + "x" * 60, "<p>Hallo Zoë</p>")
MESSAGE = compose(EMAIL, sender_address("no-reply@localhost"))


async def test_emails_are_sent_to_configured_server(server: FakeMailServer) -> None:
    await transport(settings_for(server))(MESSAGE)

    assert success_event(settings_for(server)) == "email sent"
    assert [email["Message-ID"] for email in server.emails] == [MESSAGE["Message-ID"]]


PRINTED = f"""
{"─" * 72}
From: no-reply@localhost
To: ada@example.com
Subject: Grüße

{EMAIL.text}
{"─" * 72}
{TERMINAL_HINT}

"""


async def test_emails_are_printed_in_development(capsys: pytest.CaptureFixture[str]) -> None:
    settings = MailSettings(env=Environment.DEV)
    await transport(settings)(MESSAGE)

    assert success_event(settings) == "email printed"
    assert PRINTED in capsys.readouterr().err
    assert printed_emails[0]["Message-ID"] == MESSAGE["Message-ID"]


async def test_only_latest_emails_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    messages = [
        compose(Email("ada@example.com", f"{n}", "Hello"), sender_address("a@localhost")) for n in range(MAX_KEPT + 1)
    ]
    for message in messages:
        await print_email(message)

    assert [message["Subject"] for message in printed_emails] == [f"{n}" for n in range(MAX_KEPT, 0, -1)]
