"""Delivery of one email: success, permanent errors, and retries."""

import pytest
from fastapi import FastAPI
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.testing import capture_logs

from app.core.config import Environment, Settings, load
from app.core.runtime import Runtime
from app.mail import Mail, deferred_email, delivery
from app.mail.delivery import MailDeliveryDelayed, send, send_deferred_email
from app.modules.user.models import User
from tests.mail.conftest import HOST, FakeMailServer

MAIL = Mail("ada@example.com", "Grüße", "Hallo Zoë")


@deferred_email
async def note(session: AsyncSession, *, to: str) -> Mail | None:
    """Add a user, and return an email if `to` is set."""
    session.add(User(email="ada@example.com", name="Ada"))
    await session.flush()
    return Mail(to, "Come in", "") if to else None


@pytest.fixture(autouse=True)
def _server_is_set(server: FakeMailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HOST": HOST, "PORT": str(server.port), "TLS": "none", "SENDER": "a@example.com"}.items():
        monkeypatch.setenv(f"SMTP_{name}", value)


async def test_name_becomes_message_id(server: FakeMailServer) -> None:
    for _ in range(2):
        await send("event-1.welcome", MAIL)
    assert [mail["Message-ID"] for mail in server.mails] == 2 * ["<event-1.welcome@example.com>"]


async def test_temporary_errors_request_a_retry(server: FakeMailServer) -> None:
    server.recipient_replies = ["451 ada@example.com? later"]
    with pytest.raises(MailDeliveryDelayed, match=r"^SMTPRecipientsRefused$"):
        await send("event-1", MAIL)
    await server.stop()
    with pytest.raises(MailDeliveryDelayed, match=r"^SMTPConnectError$"):
        await send("event-1", MAIL)


async def test_rejected_recipient_is_logged_without_address(server: FakeMailServer) -> None:
    server.recipient_replies = ["550 no ada@example.com here"]
    with capture_logs() as lines:
        await send("event-1", MAIL)

    [line] = lines
    assert (line["event"], line["log_level"], line["to_domain"]) == ("email not sent", "error", "example.com")
    assert "ada@" not in str(line)


async def test_deferred_email_is_built_and_sent(session: AsyncSession, server: FakeMailServer) -> None:
    await send_deferred_email(session, "event-1", note, to="ada@example.com")
    assert [mail["Subject"] for mail in server.mails] == ["Come in"]


async def test_deferred_email_without_content_is_not_sent(session: AsyncSession, server: FakeMailServer) -> None:
    await send_deferred_email(session, "event-1", note, to="")
    assert server.mails == []


async def test_unusable_address_rolls_back_deferred_email(session: AsyncSession, server: FakeMailServer) -> None:
    with capture_logs() as lines:
        await send_deferred_email(session, "event-1", note, to="nobody")

    assert server.mails == []
    assert [(line["event"], line["error"]) for line in lines] == [("email not sent", "UnusableAddress")]
    assert not list(session.identity_map.values())


@pytest.mark.parametrize("env", list(Environment))
async def test_preview_is_added_in_development_only(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    app = FastAPI()
    runtime = Runtime(load(Settings))
    for name, value in {"ENV": env, "SMTP_TLS": "starttls"}.items():
        monkeypatch.setenv(name, value)
    assert delivery.feature.setup is not None
    delivery.feature.setup(app, runtime)
    assert bool(app.routes) is (env is Environment.DEV)
