"""Mails wait for the commit."""

from contextlib import suppress
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.exceptions import ConflictError
from app.db.session import Database, SessionDep, transaction
from app.mail import Mail, letter, send_after_commit, send_letter
from app.mail.letters import Letter, P
from app.mail.outbox import by_default, posting
from app.main import create_app
from app.modules.user.models import User
from tests.conftest import OwnRegistry

FIRST, SECOND = Mail("ada@example.com", "First", "1"), Mail("ada@example.com", "Second", "2")


@pytest.fixture(params=["live_database", "database"])
def either(request: pytest.FixtureRequest) -> Database:
    """A database with real commits, and the one of the tests whose commits are savepoints."""
    database: Database = request.getfixturevalue(request.param)
    return database


async def touch(session: AsyncSession) -> None:
    await session.exec(select(User))


async def test_a_mail_leaves_with_the_commit_and_not_before(either: Database) -> None:
    sent: list[Mail] = []
    with posting(sent.append):
        async with transaction(either.writers) as session:
            await touch(session)
            send_after_commit(session, FIRST)
            send_after_commit(session, SECOND)
            await session.flush()
            assert sent == []

    assert sent == [FIRST, SECOND]


async def test_a_mail_leaves_even_if_nothing_else_was_done(either: Database) -> None:
    sent: list[Mail] = []
    with posting(sent.append):
        async with transaction(either.writers) as session:
            send_after_commit(session, FIRST)

    assert sent == [FIRST]


async def test_the_end_of_a_savepoint_is_no_commit(either: Database) -> None:
    sent: list[Mail] = []
    with posting(sent.append):
        async with transaction(either.writers) as session:
            send_after_commit(session, FIRST)
            async with session.begin_nested():
                await touch(session)
            with suppress(ConflictError):
                async with session.begin_nested():
                    await touch(session)
                    raise ConflictError
            assert sent == []

    assert sent == [FIRST]


async def test_a_mail_of_a_transaction_that_is_taken_back_is_never_sent(either: Database) -> None:
    sent: list[Mail] = []
    with posting(sent.append):
        with suppress(ConflictError):
            async with transaction(either.writers) as session:
                await touch(session)
                send_after_commit(session, FIRST)
                raise ConflictError
        async with either.writers() as session:
            await touch(session)
            send_after_commit(session, FIRST)
            await session.rollback()
            await touch(session)
            send_after_commit(session, SECOND)
            await session.commit()
            await touch(session)
            await session.commit()

    assert sent == [SECOND]


async def test_inside_a_savepoint_it_is_refused(session: AsyncSession) -> None:
    with posting(lambda _: None):
        async with session.begin_nested():
            with pytest.raises(RuntimeError, match="outside of begin_nested"):
                send_after_commit(session, FIRST)


@letter
async def greeting(session: AsyncSession, *, name: str) -> Mail | None:
    """Greet whoever has a name."""
    return Mail("ada@example.com", "Hello", name) if name else None


async def test_a_letter_is_written_at_once_and_leaves_with_the_commit(database: Database) -> None:
    sent: list[Mail] = []
    with posting(sent.append):
        async with transaction(database.writers) as session:
            await send_letter(session, greeting, name="Ada")
            await send_letter(session, greeting, name="")
            assert sent == []

    assert [mail.text for mail in sent] == ["Ada"]


async def test_without_anybody_who_sends_it_is_refused(session: AsyncSession, own_registry: OwnRegistry) -> None:
    own_registry("app.mail.outbox._ways").clear()
    with pytest.raises(RuntimeError, match="lifespan"):
        send_after_commit(session, FIRST)


class Elsewhere:
    """Another way for mails to wait."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def send(self, session: AsyncSession, mail: Mail) -> None:
        self.kept.append(mail)

    async def send_letter(
        self, session: AsyncSession, letter: Letter[P], /, *args: P.args, **arguments: P.kwargs
    ) -> None:
        self.kept.append((letter.name, arguments))


async def test_a_way_by_default_is_taken_unless_somebody_is_posting(
    session: AsyncSession, own_registry: OwnRegistry
) -> None:
    own_registry("app.mail.outbox._ways").clear()
    sent: list[Mail] = []
    way = Elsewhere()
    with posting(sent.append):
        by_default(way)
        send_after_commit(session, FIRST)
        await session.commit()
    send_after_commit(session, SECOND)
    await send_letter(session, greeting, name="Ada")

    assert sent == [FIRST]
    assert way.kept == [SECOND, (greeting.name, {"name": "Ada"})]


async def test_a_request_sends_when_it_succeeds_and_not_when_it_fails(database: Database) -> None:
    app: FastAPI = create_app()
    app.state.database = database

    @app.post("/mails")
    async def register(session: SessionDep, fail: bool = False) -> None:
        send_after_commit(session, FIRST)
        if fail:
            raise ConflictError

    sent: list[Mail] = []
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        with posting(sent.append):
            assert (await client.post("/mails?fail=true")).status_code == 409
            assert sent == []
            assert (await client.post("/mails")).status_code == 200
    assert sent == [FIRST]
