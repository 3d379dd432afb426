"""Sending from memory: after the commit, with retries, and at shutdown."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient
from sqlalchemy.exc import OperationalError
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.testing import capture_logs

from app.core.config import Settings, load
from app.core.exceptions import ConflictError
from app.core.runtime import Runtime, runtime_of
from app.db.session import Database, SessionDep, transaction
from app.mail import Email, deferred_email, send
from app.mail import in_memory as module
from app.mail.in_memory import MAX_CONNECTIONS, EmailQueue, InMemorySettings, sending
from app.main import create_app
from app.modules.user.models import User
from tests.mail.conftest import FakeMailServer, settings_for
from tests.waiting import TIMEOUT_SECONDS, wait_until

EMAIL = Email("ada@example.com", "Hello", "https://app.example.com/verify#hunter2")
FIRST, SECOND = Email("ada@example.com", "First", "1"), Email("ada@example.com", "Second", "2")
failures: list[Exception] = []


@deferred_email
async def greeting(session: AsyncSession, *, name: str) -> Email | None:
    """Store a user, and return a greeting if there is a name."""
    if failures:
        raise failures.pop()
    session.add(User(email="ada@example.com", name="Ada"))
    await session.flush()
    return Email("ada@example.com", "Hello", name) if name else None


@pytest.fixture(params=["committing_database", "database"])
def each_database(request: pytest.FixtureRequest) -> Database:
    """A database with real commits, and the test database whose commits are savepoints."""
    database: Database = request.getfixturevalue(request.param)
    return database


def in_memory_settings(server: FakeMailServer, **more: Any) -> InMemorySettings:
    return InMemorySettings(**settings_for(server).model_dump(), **{"drain_seconds": TIMEOUT_SECONDS, **more})


def open_queue(
    server: FakeMailServer, database: Database, retry_delays: Sequence[float] = (0.01, 0.02, 0.03), **settings: Any
) -> AbstractAsyncContextManager[EmailQueue]:
    return sending(database, in_memory_settings(server, **settings), retry_delays)


async def run_query(session: AsyncSession) -> None:
    await session.exec(select(User))


def subjects(server: FakeMailServer) -> list[str]:
    return sorted(email["Subject"] for email in server.emails)


async def test_sending_without_lifespan_is_rejected(session: AsyncSession) -> None:
    with pytest.raises(RuntimeError, match="lifespan"):
        await send(session, FIRST)


async def test_email_is_sent_after_commit(server: FakeMailServer, each_database: Database) -> None:
    async with open_queue(server, each_database) as queue, transaction(each_database.write) as session:
        await run_query(session)
        await send(session, FIRST)
        await send(session, SECOND)
        await session.flush()
        assert queue._pending == set()

    assert subjects(server) == ["First", "Second"]


async def test_email_is_sent_if_transaction_has_no_statements(server: FakeMailServer, each_database: Database) -> None:
    async with open_queue(server, each_database), transaction(each_database.write) as session:
        await send(session, FIRST)

    assert subjects(server) == ["First"]


async def test_release_of_savepoint_sends_nothing(server: FakeMailServer, each_database: Database) -> None:
    async with open_queue(server, each_database) as queue, transaction(each_database.write) as session:
        await send(session, FIRST)
        async with session.begin_nested():
            await run_query(session)
        with suppress(ConflictError):
            async with session.begin_nested():
                await run_query(session)
                raise ConflictError
        assert queue._pending == set()

    assert subjects(server) == ["First"]


async def test_rollback_discards_emails(server: FakeMailServer, each_database: Database) -> None:
    async with open_queue(server, each_database):
        with suppress(ConflictError):
            async with transaction(each_database.write) as session:
                await run_query(session)
                await send(session, FIRST)
                raise ConflictError
        async with each_database.write() as session:
            await run_query(session)
            await send(session, FIRST)
            await session.rollback()
            await run_query(session)
            await send(session, SECOND)
            await session.commit()
            await run_query(session)
            await session.commit()

    assert subjects(server) == ["Second"]


async def test_sending_inside_savepoint_is_rejected(server: FakeMailServer, database: Database) -> None:
    async with open_queue(server, database), transaction(database.write) as session, session.begin_nested():
        with pytest.raises(RuntimeError, match="inside begin_nested"):
            await send(session, FIRST)


async def test_only_successful_requests_send_emails(server: FakeMailServer, database: Database) -> None:
    app: FastAPI = create_app()
    runtime_of(app)[Database] = database

    @app.post("/emails")
    async def register(session: SessionDep, fail: bool = False) -> None:
        await send(session, SECOND if fail else FIRST)
        if fail:
            raise ConflictError

    async with (
        open_queue(server, database),
        AsyncClient(transport=ASGITransport(app), base_url="http://test") as client,
    ):
        assert (await client.post("/emails?fail=true")).status_code == 409
        assert (await client.post("/emails")).status_code == 200

    assert subjects(server) == ["First"]


async def test_deferred_email_is_built_after_commit_in_another_transaction(
    server: FakeMailServer, database: Database
) -> None:
    async with open_queue(server, database):
        async with transaction(database.write) as session:
            await send(session, greeting(name="Ada"))
            assert (await session.exec(select(User))).all() == []
        async with transaction(database.write) as session:
            await send(session, greeting(name=""))
            await session.rollback()

    assert [email.get_content().strip() for email in server.emails] == ["Ada"]
    async with transaction(database.read_transaction) as session:
        assert len((await session.exec(select(User))).all()) == 1


async def test_deferred_email_without_content_is_skipped(server: FakeMailServer, database: Database) -> None:
    with capture_logs() as lines:
        async with open_queue(server, database) as queue:
            queue.put(greeting(name=""))

    assert [line["event"] for line in lines] == ["deferred email skipped, nothing to send"]
    assert server.emails == []


async def test_unavailable_database_is_retried(server: FakeMailServer, database: Database) -> None:
    failures.append(OperationalError("", None, Exception("away")))
    with capture_logs() as lines:
        async with open_queue(server, database) as queue:
            queue.put(greeting(name="Ada"))

    assert [line["event"] for line in lines] == ["email delivery failed, retrying", "email sent"]


async def test_failing_builder_is_logged_with_traceback_but_without_message(
    server: FakeMailServer, database: Database
) -> None:
    failures.append(KeyError("ada@example.com"))
    with capture_logs() as lines:
        async with open_queue(server, database) as queue:
            queue.put(greeting(name="Ada"))

    [line] = lines
    assert (line["event"], line["error"], line["deferred_email"]) == ("email not sent", "KeyError", "greeting")
    assert "in greeting" in line["exception"]
    assert "ada@" not in str(line)


async def test_concurrent_connections_are_limited(server: FakeMailServer, database: Database) -> None:
    server.proceed.clear()
    async with open_queue(server, database) as queue:
        for _ in range(3 * MAX_CONNECTIONS):
            queue.put(EMAIL)
        await wait_until(lambda: server.connections == MAX_CONNECTIONS)
        server.proceed.set()

    assert server.peak_connections == MAX_CONNECTIONS
    assert len(server.emails) == 3 * MAX_CONNECTIONS


async def test_email_is_sent_after_server_recovers(server: FakeMailServer, database: Database) -> None:
    await server.stop()
    with capture_logs() as lines:
        async with open_queue(server, database, retry_delays=(0.01,) * 30_000) as queue:
            queue.put(EMAIL)
            await wait_until(lambda: bool(lines))
            await server.start()

    assert len(server.emails) == 1
    assert (lines[0]["event"], lines[0]["error"]) == ("email delivery failed, retrying", "SMTPConnectError")
    assert lines[-1]["event"] == "email sent"


async def test_temporary_rejection_is_retried_with_same_message_id(server: FakeMailServer, database: Database) -> None:
    server.recipient_replies = ["450 greylisted"]
    server.data_replies = ["451 later"]
    with capture_logs() as lines:
        async with open_queue(server, database) as queue:
            queue.put(EMAIL)

    assert len(server.emails) == 1
    assert [line["event"] for line in lines] == ["email delivery failed, retrying"] * 2 + ["email sent"]
    assert {line["message_id"] for line in lines} == {server.emails[0]["Message-ID"]}
    assert [line.get("retry_in_seconds") for line in lines] == [0.01, 0.02, None]


async def test_rejected_recipient_is_not_retried(server: FakeMailServer, database: Database) -> None:
    server.recipient_replies = ["550 no ada@example.com here"]
    with capture_logs() as lines:
        async with open_queue(server, database) as queue:
            queue.put(EMAIL)

    [line] = lines
    assert (line["event"], line["log_level"], line["error"]) == ("email not sent", "error", "SMTPRecipientsRefused")
    assert line["to_domain"] == "example.com"
    assert server.emails == []


async def test_retries_are_limited(server: FakeMailServer, database: Database) -> None:
    await server.stop()
    with capture_logs() as lines:
        async with open_queue(server, database) as queue:
            queue.put(EMAIL)

    assert [line["event"] for line in lines] == ["email delivery failed, retrying"] * 3 + ["email not sent"]


async def test_log_contains_no_address_or_content(server: FakeMailServer, database: Database) -> None:
    server.recipient_replies = ["451 try ada@example.com later", "550 ada@example.com is gone"]
    with capture_logs() as lines:
        async with open_queue(server, database) as queue:
            queue.put(EMAIL)
            await queue.drain()
            queue.put(EMAIL)

    assert len(lines) == 3
    for secret in ("ada@example.com", "ada", "hunter2", "Hello"):
        assert secret not in str(lines)


async def test_shutdown_logs_number_of_lost_emails(server: FakeMailServer, database: Database) -> None:
    server.proceed.clear()
    with capture_logs() as lines:
        async with open_queue(server, database, drain_seconds=0) as queue:
            queue.put(EMAIL)
            queue.put(EMAIL)

    assert lines == [{"event": "emails not sent, process is stopping", "count": 2, "log_level": "error"}]
    assert queue._pending == set()


@pytest.mark.parametrize("fail", [False, True])
async def test_shutdown_waits_for_delivery(server: FakeMailServer, database: Database, fail: bool) -> None:
    runtime = Runtime(load(Settings))
    runtime[InMemorySettings], runtime[Database] = in_memory_settings(server), database
    assert module.feature.lifespan is not None
    with suppress(KeyError):
        async with module.feature.lifespan(runtime):
            async with transaction(database.write) as session:
                await send(session, EMAIL)
            if fail:
                raise KeyError

    assert server.emails[0].get_content().splitlines() == EMAIL.text.splitlines()


def test_preview_is_added_in_development(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENV", "dev")
    assert create_app().url_path_for("list_emails") == "/dev/emails"
