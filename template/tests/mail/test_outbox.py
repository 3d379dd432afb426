"""Sending after the commit."""

from contextlib import suppress
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.exceptions import ConflictError
from app.core.runtime import runtime_of
from app.db.session import Database, SessionDep, transaction
from app.mail import Mail, deferred_email, send_deferred_email, send_email_after_commit
from app.mail.deferred import EmailBuilder, P
from app.mail.outbox import set_default_backend, use_post_function
from app.main import create_app
from app.modules.user.models import User
from tests.conftest import OwnRegistry

FIRST, SECOND = Mail("ada@example.com", "First", "1"), Mail("ada@example.com", "Second", "2")


@pytest.fixture(params=["committing_database", "database"])
def either(request: pytest.FixtureRequest) -> Database:
    """A database with real commits, and the test database whose commits are savepoints."""
    database: Database = request.getfixturevalue(request.param)
    return database


async def touch(session: AsyncSession) -> None:
    await session.exec(select(User))


async def test_email_is_sent_after_commit(either: Database) -> None:
    sent: list[Mail] = []
    with use_post_function(sent.append):
        async with transaction(either.write) as session:
            await touch(session)
            send_email_after_commit(session, FIRST)
            send_email_after_commit(session, SECOND)
            await session.flush()
            assert sent == []

    assert sent == [FIRST, SECOND]


async def test_email_is_sent_without_other_statements(either: Database) -> None:
    sent: list[Mail] = []
    with use_post_function(sent.append):
        async with transaction(either.write) as session:
            send_email_after_commit(session, FIRST)

    assert sent == [FIRST]


async def test_release_of_savepoint_sends_nothing(either: Database) -> None:
    sent: list[Mail] = []
    with use_post_function(sent.append):
        async with transaction(either.write) as session:
            send_email_after_commit(session, FIRST)
            async with session.begin_nested():
                await touch(session)
            with suppress(ConflictError):
                async with session.begin_nested():
                    await touch(session)
                    raise ConflictError
            assert sent == []

    assert sent == [FIRST]


async def test_rollback_discards_emails(either: Database) -> None:
    sent: list[Mail] = []
    with use_post_function(sent.append):
        with suppress(ConflictError):
            async with transaction(either.write) as session:
                await touch(session)
                send_email_after_commit(session, FIRST)
                raise ConflictError
        async with either.write() as session:
            await touch(session)
            send_email_after_commit(session, FIRST)
            await session.rollback()
            await touch(session)
            send_email_after_commit(session, SECOND)
            await session.commit()
            await touch(session)
            await session.commit()

    assert sent == [SECOND]


async def test_sending_inside_savepoint_is_rejected(session: AsyncSession) -> None:
    with use_post_function(lambda _: None):
        async with session.begin_nested():
            with pytest.raises(RuntimeError, match="inside begin_nested"):
                send_email_after_commit(session, FIRST)


@deferred_email
async def greeting(session: AsyncSession, *, name: str) -> Mail | None:
    """Return a greeting, if there is a name."""
    return Mail("ada@example.com", "Hello", name) if name else None


async def test_deferred_email_is_built_immediately_and_sent_after_commit(database: Database) -> None:
    sent: list[Mail] = []
    with use_post_function(sent.append):
        async with transaction(database.write) as session:
            await send_deferred_email(session, greeting, name="Ada")
            await send_deferred_email(session, greeting, name="")
            assert sent == []

    assert [mail.text for mail in sent] == ["Ada"]


async def test_sending_without_backend_is_rejected(session: AsyncSession, own_registry: OwnRegistry) -> None:
    own_registry("app.mail.outbox._backends").clear()
    with pytest.raises(RuntimeError, match="lifespan"):
        send_email_after_commit(session, FIRST)


class Elsewhere:
    """Another backend."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def send(self, session: AsyncSession, mail: Mail) -> None:
        self.kept.append(mail)

    async def send_deferred_email(
        self, session: AsyncSession, letter: EmailBuilder[P], /, *args: P.args, **arguments: P.kwargs
    ) -> None:
        self.kept.append((letter.name, arguments))


async def test_default_backend_is_used_unless_another_is_active(
    session: AsyncSession, own_registry: OwnRegistry
) -> None:
    own_registry("app.mail.outbox._backends").clear()
    sent: list[Mail] = []
    way = Elsewhere()
    with use_post_function(sent.append):
        set_default_backend(way)
        send_email_after_commit(session, FIRST)
        await session.commit()
    send_email_after_commit(session, SECOND)
    await send_deferred_email(session, greeting, name="Ada")

    assert sent == [FIRST]
    assert way.kept == [SECOND, (greeting.name, {"name": "Ada"})]


async def test_only_successful_requests_send_emails(database: Database) -> None:
    app: FastAPI = create_app()
    runtime_of(app)[Database] = database

    @app.post("/mails")
    async def register(session: SessionDep, fail: bool = False) -> None:
        send_email_after_commit(session, FIRST)
        if fail:
            raise ConflictError

    sent: list[Mail] = []
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        with use_post_function(sent.append):
            assert (await client.post("/mails?fail=true")).status_code == 409
            assert sent == []
            assert (await client.post("/mails")).status_code == 200
    assert sent == [FIRST]
