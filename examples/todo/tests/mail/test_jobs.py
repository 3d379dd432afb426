"""Emails as jobs: enqueued in the transaction, sent at least once, without secrets in the database."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtplib import SMTPResponseException
from pydantic import ValidationError
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.testing import capture_logs

from app.core.exceptions import ConflictError
from app.db.base import utc_now
from app.db.session import Database, transaction
from app.jobs.repository import JobRepository
from app.jobs.runner import JobRunner
from app.jobs.task import Queue
from app.mail import Email, deferred_email, jobs
from app.mail import send as send_after_commit
from app.main import create_app
from tests.mail.conftest import HOST, FakeMailServer
from tests.outbox.conftest import outbox_rows

EMAIL = Email("ada@example.com", "Grüße", "Hallo Zoë", "<p>Hallo Zoë</p>")
ISSUED_SECRETS: list[str] = []


@deferred_email
async def invitation(session: AsyncSession, *, to: str) -> Email | None:
    """Return an email with a new secret, if `to` is set."""
    ISSUED_SECRETS.append(f"hunter{len(ISSUED_SECRETS)}")
    return Email(to, "Come in", f"https://app.example.com/#{ISSUED_SECRETS[-1]}") if to else None


@pytest.fixture(autouse=True)
def _use_server(server: FakeMailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    ISSUED_SECRETS.clear()
    for name, value in {"HOST": HOST, "PORT": str(server.port), "TLS": "none", "SENDER": "a@example.com"}.items():
        monkeypatch.setenv(f"SMTP_{name}", value)


async def run_jobs(database: Database) -> None:
    """Run every job once, even if it is not due yet."""
    for event in await outbox_rows(database):
        async with transaction(database.write) as session:
            await JobRepository(session).mark_sent([event])
        await JobRunner(database).run(event.id)


async def send(database: Database) -> None:
    async with transaction(database.write) as session:
        await send_after_commit(session, EMAIL)


async def invite(database: Database, to: str = "ada@example.com") -> None:
    async with transaction(database.write) as session:
        await send_after_commit(session, invitation(to=to))


async def test_email_is_one_job_and_sent_by_worker(database: Database, server: FakeMailServer) -> None:
    await send(database)
    [job] = await outbox_rows(database)
    assert (job.name, job.queue) == ("send_email", Queue.EMAIL)
    assert server.emails == []
    with capture_logs() as lines:
        await run_jobs(database)

    assert await outbox_rows(database) == []
    [email] = server.emails
    assert (email["To"], email["Subject"], email["Message-ID"]) == (EMAIL.to, EMAIL.subject, f"<{job.id}@example.com>")
    assert [part.get_content().strip() for part in email.iter_parts()] == [EMAIL.text, EMAIL.html]
    assert [line["event"] for line in lines] == ["email sent", "job finished"]


async def test_rollback_discards_emails(database: Database) -> None:
    with suppress(ConflictError):
        async with transaction(database.write) as session:
            async with session.begin_nested():  # allowed here, because a rollback also removes the row
                await send_after_commit(session, EMAIL)
                await send_after_commit(session, invitation(to=EMAIL.to))
            raise ConflictError

    assert await outbox_rows(database) == []


async def test_deferred_email_is_built_when_sent(database: Database, server: FakeMailServer) -> None:
    await invite(database)
    [job] = await outbox_rows(database)
    assert (job.name, job.queue, job.payload) == ("invitation", Queue.EMAIL, '{"to":"ada@example.com"}')
    assert ISSUED_SECRETS == []
    await run_jobs(database)

    assert [email.get_content().strip() for email in server.emails] == ["https://app.example.com/#hunter0"]
    assert await outbox_rows(database) == []


async def test_queued_email_contains_no_secret(database: Database, server: FakeMailServer) -> None:
    server.data_replies = ["451 hunter0 for ada@example.com? later"]
    await invite(database)
    await run_jobs(database)
    [job] = await outbox_rows(database)

    assert ISSUED_SECRETS == ["hunter0"]
    assert "hunter" not in f"{job.model_dump()}"
    assert job.last_error == "EmailDeliveryDelayed: SMTPDataError 451"


async def test_job_run_twice_sends_one_email(database: Database, server: FakeMailServer) -> None:
    await send(database)
    [job] = await outbox_rows(database)
    await run_jobs(database)
    await JobRunner(database).run(job.id)

    assert len(server.emails) == 1


@pytest.mark.parametrize("send_email", [send, invite])
async def test_email_resent_after_crash_has_same_message_id(
    database: Database, server: FakeMailServer, monkeypatch: pytest.MonkeyPatch, send_email: Callable[..., Any]
) -> None:
    async def crash(*_: Any) -> bool:
        raise ConnectionError

    await send_email(database)
    with monkeypatch.context() as patch:
        patch.setattr(JobRepository, "complete", crash)
        await run_jobs(database)
    assert len(server.emails) == len(await outbox_rows(database)) == 1
    await run_jobs(database)

    first, second = (email["Message-ID"] for email in server.emails)
    assert first == second
    assert (["hunter0", "hunter1"] if send_email is invite else []) == ISSUED_SECRETS, (
        "each copy of a deferred email has a separate link"
    )
    assert await outbox_rows(database) == []


async def test_unavailable_server_is_retried(database: Database, server: FakeMailServer) -> None:
    await send(database)
    await server.stop()
    began = utc_now()
    await run_jobs(database)
    [job] = await outbox_rows(database)
    assert (job.attempts, job.last_error, job.dead_at) == (1, "EmailDeliveryDelayed: SMTPConnectError", None)
    assert job.next_attempt_at is not None
    assert job.next_attempt_at > began

    await server.start()
    await run_jobs(database)
    assert len(server.emails) == 1
    assert await outbox_rows(database) == []


async def test_rejected_recipient_is_not_retried(database: Database, server: FakeMailServer) -> None:
    server.recipient_replies = ["550 no ada@example.com here"]
    await send(database)
    with capture_logs() as lines:
        await run_jobs(database)

    assert await outbox_rows(database) == []
    assert server.emails == []
    assert (lines[0]["event"], lines[0]["log_level"], lines[0]["error"]) == (
        "email not sent",
        "error",
        "SMTPRecipientsRefused",
    )


@pytest.mark.parametrize("reply", ["535 who are you", "553 not from there", "554 not today"])
async def test_rejected_login_or_sender_is_retried_then_dead_lettered(
    database: Database, server: FakeMailServer, monkeypatch: pytest.MonkeyPatch, reply: str
) -> None:
    """A wrong password or sender in the settings must not lose an email."""

    async def reject(*_: Any) -> None:
        code, text = reply.split(maxsplit=1)
        raise SMTPResponseException(int(code), text)

    monkeypatch.setattr(jobs, "transport", lambda _: reject)
    await send(database)
    for _ in range(jobs.MAX_ATTEMPTS):
        await run_jobs(database)

    [job] = await outbox_rows(database)
    assert (job.dead_at is not None, job.attempts) == (True, jobs.MAX_ATTEMPTS)
    assert job.last_error == f"EmailDeliveryDelayed: SMTPResponseException {reply[:3]}"


async def test_invalid_arguments_of_deferred_email_are_rejected_immediately(database: Database) -> None:
    with pytest.raises(ValidationError):
        async with transaction(database.write) as session:
            await send_after_commit(session, invitation(to=1))  # ty: ignore[invalid-argument-type]


async def test_deferred_email_without_content_ends_the_job(database: Database, server: FakeMailServer) -> None:
    await invite(database, to="")
    await run_jobs(database)

    assert await outbox_rows(database) == []
    assert server.emails == []


@pytest.mark.parametrize("send_email", [send, invite])
async def test_no_transaction_is_open_while_the_server_is_slow(
    database: Database, server: FakeMailServer, monkeypatch: pytest.MonkeyPatch, send_email: Callable[..., Any]
) -> None:
    """With SQLite, it would block all other writers; with PostgreSQL, it would occupy a connection."""
    open_transactions: list[AsyncSession] = []

    @asynccontextmanager
    async def counting_transaction(sessions: Any) -> AsyncGenerator[AsyncSession]:
        async with transaction(sessions) as session:
            open_transactions.append(session)
            try:
                yield session
            finally:
                open_transactions.remove(session)

    async def deliver(_: EmailMessage) -> None:
        seen.append(len(open_transactions))

    seen: list[int] = []
    for module in ("app.jobs.runner", "app.mail.deferred"):
        monkeypatch.setattr(f"{module}.transaction", counting_transaction)
    monkeypatch.setattr(jobs, "transport", lambda _: deliver)
    await send_email(database)
    await run_jobs(database)

    assert seen == [0]


async def test_log_and_failed_job_contain_no_address(database: Database, server: FakeMailServer) -> None:
    server.recipient_replies = ["451 try ada@example.com later", "550 ada@example.com is gone"]
    await invite(database)
    with capture_logs() as lines:
        await run_jobs(database)
        [job] = await outbox_rows(database)
        await run_jobs(database)

    assert "ada@example.com" not in f"{lines} {job.last_error}"
    assert "hunter" not in str(lines)


def test_preview_exists_in_development(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENV", "dev")
    assert create_app().url_path_for("list_emails") == "/dev/emails"
