"""The in-memory mailer: background delivery, retries, and shutdown."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from app.core.config import Settings, load
from app.core.runtime import Runtime
from app.db.session import Database, transaction
from app.mail import Mail, send_email_after_commit
from app.mail import mailer as module
from app.mail.mailer import MAX_CONNECTIONS, Mailer, MailerSettings, run_mailer
from app.mail.smtp import deliver
from tests.mail.conftest import FakeMailServer, settings_for
from tests.waiting import TIMEOUT_SECONDS, wait_until

MAIL = Mail("ada@example.com", "Hello", "https://app.example.com/verify#hunter2")


def mailer_settings(server: FakeMailServer, **more: Any) -> MailerSettings:
    return MailerSettings(**settings_for(server).model_dump(), **{"drain_seconds": TIMEOUT_SECONDS, **more})


@asynccontextmanager
async def mailing_to(
    server: FakeMailServer, pauses: Sequence[float] = (0.01, 0.02, 0.03), **settings: Any
) -> AsyncGenerator[Mailer]:
    chosen = mailer_settings(server, **settings)
    mailer = Mailer(chosen, partial(deliver, chosen), pauses)
    yield mailer
    await mailer.drain()


async def test_post_does_not_wait_but_drain_does(server: FakeMailServer) -> None:
    async with mailing_to(server) as mailer:
        with capture_logs() as lines:
            for _ in range(3):
                mailer.post(MAIL)
            assert server.mails == []
            await mailer.drain()

    assert [mail["To"] for mail in server.mails] == ["ada@example.com"] * 3
    assert [line["event"] for line in lines] == ["email sent"] * 3


async def test_concurrent_connections_are_limited(server: FakeMailServer) -> None:
    server.proceed.clear()
    async with mailing_to(server) as mailer:
        for _ in range(3 * MAX_CONNECTIONS):
            mailer.post(MAIL)
        await wait_until(lambda: server.connections == MAX_CONNECTIONS)
        server.proceed.set()

    assert server.at_the_same_time == MAX_CONNECTIONS
    assert len(server.mails) == 3 * MAX_CONNECTIONS


async def test_email_is_sent_after_server_recovers(server: FakeMailServer) -> None:
    await server.stop()
    with capture_logs() as lines:
        async with mailing_to(server, pauses=(0.01,) * 30_000) as mailer:
            mailer.post(MAIL)
            await wait_until(lambda: bool(lines))
            await server.start()

    assert len(server.mails) == 1
    assert lines[0]["event"] == "email delivery failed, retrying"
    assert lines[0]["error"] == "SMTPConnectError"
    assert lines[-1]["event"] == "email sent"


async def test_temporary_rejection_is_retried_with_same_message_id(server: FakeMailServer) -> None:
    server.recipient_replies = ["450 greylisted"]
    server.data_replies = ["451 later"]
    with capture_logs() as lines:
        async with mailing_to(server) as mailer:
            mailer.post(MAIL)

    assert len(server.mails) == 1
    assert [line["event"] for line in lines] == ["email delivery failed, retrying"] * 2 + ["email sent"]
    assert {line["message_id"] for line in lines} == {server.mails[0]["Message-ID"]}
    assert [line.get("retry_in_seconds") for line in lines] == [0.01, 0.02, None]


async def test_rejected_recipient_is_not_retried(server: FakeMailServer) -> None:
    server.recipient_replies = ["550 no ada@example.com here"]
    with capture_logs() as lines:
        async with mailing_to(server) as mailer:
            mailer.post(MAIL)

    [line] = lines
    assert (line["event"], line["log_level"], line["error"]) == ("email not sent", "error", "SMTPRecipientsRefused")
    assert line["to_domain"] == "example.com"
    assert server.mails == []


async def test_retries_are_limited(server: FakeMailServer) -> None:
    await server.stop()
    with capture_logs() as lines:
        async with mailing_to(server) as mailer:
            mailer.post(MAIL)

    assert [line["event"] for line in lines] == ["email delivery failed, retrying"] * 3 + ["email not sent"]


async def test_log_contains_no_address_or_content(server: FakeMailServer) -> None:
    server.recipient_replies = ["451 try ada@example.com later", "550 ada@example.com is gone"]
    with capture_logs() as lines:
        async with mailing_to(server) as mailer:
            mailer.post(MAIL)
            await mailer.drain()
            mailer.post(MAIL)

    assert len(lines) == 3
    for secret in ("ada@example.com", "ada", "hunter2", "Hello"):
        assert secret not in str(lines)


async def test_shutdown_logs_number_of_lost_emails(server: FakeMailServer) -> None:
    server.proceed.clear()
    with capture_logs() as lines:
        async with mailing_to(server, drain_seconds=0) as mailer:
            mailer.post(MAIL)
            mailer.post(MAIL)

    assert lines == [{"event": "emails not sent, service is stopping", "count": 2, "log_level": "error"}]
    assert mailer._pending == set()


async def send(database: Database) -> None:
    async with transaction(database.write) as session:
        send_email_after_commit(session, MAIL)


async def test_shutdown_waits_for_delivery(server: FakeMailServer, database: Database) -> None:
    runtime = Runtime(load(Settings))
    runtime[MailerSettings] = mailer_settings(server)
    assert module.feature.lifespan is not None
    async with module.feature.lifespan(runtime):
        await send(database)

    assert server.mails[0].get_content().splitlines() == MAIL.text.splitlines()


async def test_shutdown_after_error_waits_for_delivery(server: FakeMailServer, database: Database) -> None:
    with suppress(KeyError):
        async with run_mailer(mailer_settings(server)):
            await send(database)
            raise KeyError

    assert len(server.mails) == 1


def test_preview_is_added_in_development(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENV", "dev")
    assert create_app().url_path_for("list_mails") == "/dev/mails"
