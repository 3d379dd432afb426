"""Deferred emails with links: some time may pass between the request and the sending."""

from collections.abc import Generator
from typing import Any

import pytest
from httpx2 import AsyncClient
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.preconditions import Precondition
from app.db.session import Database, transaction
from app.mail import Mail, outbox
from app.mail.deferred import EmailBuilder, P
from app.modules.password.models import MailedToken, Registration
from app.modules.password.repository import PasswordRepository
from app.modules.user.schemas import UserCreate, UserUpdate
from app.modules.user.service import UserService
from tests.modules.password.test_routes import EMAIL, OTHER, PASSWORD, forgot, register, reset, token_in, verify

AUTH = "/api/v1/auth"


class Waiting:
    """A backend that queues emails, as the database does with workers."""

    def __init__(self) -> None:
        self.stored: list[tuple[EmailBuilder[...], dict[str, Any]]] = []
        self.mails: list[Mail] = []

    def send(self, session: AsyncSession, mail: Mail) -> None:
        self.mails.append(mail)

    async def send_deferred_email(
        self, session: AsyncSession, letter: EmailBuilder[P], /, *args: P.args, **arguments: P.kwargs
    ) -> None:
        self.stored.append((letter, arguments))

    async def write(self, database: Database) -> list[Mail]:
        """Build the queued emails and return them."""
        written = []
        for letter, arguments in self.stored:
            async with transaction(database.write) as session:
                written.append(await letter.write(session, **arguments))
        self.stored.clear()
        return [mail for mail in written if mail]


@pytest.fixture
def waiting() -> Generator[Waiting]:
    """Queue emails until the test sends them."""
    way = Waiting()
    outbox._backends.append(way)
    yield way
    outbox._backends.remove(way)


async def open_account(client: AsyncClient, waiting: Waiting, database: Database) -> None:
    await register(client)
    [mail] = await waiting.write(database)
    await verify(client, mail)
    signed_in = await client.post(f"{AUTH}/token", data={"username": EMAIL, "password": PASSWORD})
    client.headers["Authorization"] = f"Bearer {signed_in.json()['access_token']}"


async def change_email(client: AsyncClient, email: str) -> int:
    body = {"current_password": PASSWORD, "new_email": email}
    return (await client.post(f"{AUTH}/change-email", json=body)).status_code


async def test_queued_emails_contain_no_secret(
    client: AsyncClient, session: AsyncSession, waiting: Waiting, database: Database
) -> None:
    await register(client)
    before = str(waiting.stored)
    assert (await session.exec(select(Registration))).all() == []
    [mail] = await waiting.write(database)
    await verify(client, mail)
    await forgot(client)
    before += str(waiting.stored)
    assert (await session.exec(select(MailedToken))).all() == []
    [link] = await waiting.write(database)

    for sent in (mail, link):
        assert token_in(sent) not in before
    assert (await reset(client, link)).status_code == 204


async def test_each_copy_of_deferred_email_has_valid_link(
    client: AsyncClient, waiting: Waiting, database: Database
) -> None:
    await open_account(client, waiting, database)
    await forgot(client)
    again = list(waiting.stored)
    [first] = await waiting.write(database)
    waiting.stored += again
    [second] = await waiting.write(database)

    assert token_in(first) != token_in(second)
    assert (await reset(client, first)).status_code == 204


@pytest.mark.parametrize("ending", ["password", "address", "account"])
async def test_revoked_link_is_not_created_later(
    client: AsyncClient, waiting: Waiting, database: Database, ending: str
) -> None:
    await open_account(client, waiting, database)
    await forgot(client)
    assert await change_email(client, "evil@example.com") == 202
    async with transaction(database.write) as session:
        users = UserService(session)
        user = await users.find(EMAIL)
        assert user is not None
        if ending == "password":
            await PasswordRepository(session).set_password(user.id, "another")
        elif ending == "address":
            await users.update(user.id, UserUpdate(email="new@example.com"), Precondition(None))
        else:
            await users.delete(user.id, Precondition(None))

    assert len(waiting.stored) == 2
    assert await waiting.write(database) == []
    async with transaction(database.snapshot) as session:
        assert (await session.exec(select(MailedToken))).all() == []


async def test_account_without_password_gets_reset_email(
    client: AsyncClient, waiting: Waiting, database: Database
) -> None:
    async with transaction(database.write) as session:
        await UserService(session).register(UserCreate(email=EMAIL, name="Ada"))
    await forgot(client)

    assert [mail.to for mail in await waiting.write(database)] == [EMAIL]


async def test_warning_is_sent_to_current_address(client: AsyncClient, waiting: Waiting, database: Database) -> None:
    await open_account(client, waiting, database)
    changed = {"current_password": PASSWORD, "new_password": OTHER}
    assert (await client.post(f"{AUTH}/change-password", json=changed)).status_code == 204

    # An attacker who changes the password may change the address next, so the warning must not wait.
    assert [mail.to for mail in waiting.mails] == [EMAIL]
    assert waiting.stored == []


async def test_unusable_new_address_is_rejected_immediately(
    client: AsyncClient, waiting: Waiting, database: Database
) -> None:
    await open_account(client, waiting, database)

    assert await change_email(client, "ädä@example.com") == 422
    assert waiting.stored == []
