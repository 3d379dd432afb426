"""Deferred emails with links: some time may pass between the request and the sending."""

from collections.abc import Awaitable, Callable, Generator
from typing import Any

import pytest
from httpx2 import AsyncClient, Response
from sqlalchemy import Engine, event
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.testing import capture_logs

from app.core.preconditions import Precondition
from app.db.session import Database, transaction
from app.mail import DeferredEmail, Email
from app.mail.deferred import build_email
from app.modules.password.models import MailedToken, Registration
from app.modules.password.repository import PasswordRepository
from app.modules.user.schemas import UserCreate, UserUpdate
from app.modules.user.service import UserService
from tests.modules.password.test_routes import (
    EMAIL,
    NEW_PASSWORD,
    PASSWORD,
    register,
    request_password_reset,
    reset,
    token_in,
    verify,
)
from tests.users import new_client

AUTH = "/api/v1/auth"


class PendingEmails:
    """Emails that are kept until the test builds them."""

    def __init__(self) -> None:
        self.deferred: list[DeferredEmail] = []
        self.emails: list[Email] = []

    async def send(self, session: AsyncSession, email: Email | DeferredEmail) -> None:
        if isinstance(email, Email):
            self.emails.append(email)
        else:
            self.deferred.append(email)

    async def build(self, database: Database) -> list[Email]:
        """Build the pending emails and return them."""
        built = [await build_email(database, email) for email in self.deferred]
        self.deferred.clear()
        return [email for email in built if email]


@pytest.fixture
def pending_emails(monkeypatch: pytest.MonkeyPatch) -> PendingEmails:
    """Keep emails until the test builds them."""
    emails = PendingEmails()
    monkeypatch.setattr("app.modules.password.service.send", emails.send)
    return emails


@pytest.fixture
def statements() -> Generator[list[str]]:
    """The SQL statements that are executed during the test."""
    executed: list[str] = []

    def record(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        executed.append(statement)

    event.listen(Engine, "before_cursor_execute", record)
    yield executed
    event.remove(Engine, "before_cursor_execute", record)


async def create_account(client: AsyncClient, pending_emails: PendingEmails, database: Database) -> None:
    await register(client)
    [email] = await pending_emails.build(database)
    await verify(client, email)
    signed_in = await client.post(f"{AUTH}/token", data={"username": EMAIL, "password": PASSWORD})
    client.headers["Authorization"] = f"Bearer {signed_in.json()['access_token']}"


async def change_email(client: AsyncClient, email: str) -> int:
    body = {"current_password": PASSWORD, "new_email": email}
    return (await client.post(f"{AUTH}/change-email", json=body)).status_code


async def test_queued_emails_contain_no_secret(
    client: AsyncClient, session: AsyncSession, pending_emails: PendingEmails, database: Database
) -> None:
    await register(client)
    before = str([email.arguments for email in pending_emails.deferred])
    assert (await session.exec(select(Registration))).all() == []
    [email] = await pending_emails.build(database)
    await verify(client, email)
    await request_password_reset(client)
    before += str([email.arguments for email in pending_emails.deferred])
    assert (await session.exec(select(MailedToken))).all() == []
    [link] = await pending_emails.build(database)

    for sent in (email, link):
        assert token_in(sent) not in before
    assert (await reset(client, link)).status_code == 204


async def test_each_copy_of_deferred_email_has_valid_link(
    client: AsyncClient, pending_emails: PendingEmails, database: Database
) -> None:
    await create_account(client, pending_emails, database)
    await request_password_reset(client)
    again = list(pending_emails.deferred)
    [first] = await pending_emails.build(database)
    pending_emails.deferred += again
    [second] = await pending_emails.build(database)

    assert token_in(first) != token_in(second)
    assert (await reset(client, first)).status_code == 204


@pytest.mark.parametrize("ending", ["password", "address", "account"])
async def test_revoked_link_is_not_created_later(
    client: AsyncClient, pending_emails: PendingEmails, database: Database, ending: str
) -> None:
    await create_account(client, pending_emails, database)
    await request_password_reset(client)
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

    assert len(pending_emails.deferred) == 2
    assert await pending_emails.build(database) == []
    async with transaction(database.read_transaction) as session:
        assert (await session.exec(select(MailedToken))).all() == []


async def test_account_without_password_gets_reset_email(
    client: AsyncClient, pending_emails: PendingEmails, database: Database
) -> None:
    async with transaction(database.write) as session:
        await UserService(session).register(UserCreate(email=EMAIL, name="Ada"))
    await request_password_reset(client)

    assert [email.to for email in await pending_emails.build(database)] == [EMAIL]


@pytest.mark.parametrize("send_request", [register, request_password_reset])
async def test_request_does_the_same_work_for_every_address(
    client: AsyncClient,
    pending_emails: PendingEmails,
    database: Database,
    statements: list[str],
    send_request: Callable[..., Awaitable[Response]],
) -> None:
    """Neither the response nor its timing discloses whether an account exists."""
    await create_account(client, pending_emails, database)
    other_client = new_client(client)
    seen = []
    for address in (EMAIL, "bob@example.com"):
        statements.clear()
        with capture_logs() as logs:
            response = await send_request(other_client, email=address)
        [email] = pending_emails.deferred
        pending_emails.deferred.clear()
        lines = [(line["event"], *sorted(line)) for line in logs]
        work = (list(statements), lines, email.name, *sorted(email.arguments))
        seen.append((response.status_code, response.content, work))

    assert seen[0] == seen[1]


async def test_existing_account_is_found_when_the_email_is_built(
    client: AsyncClient, pending_emails: PendingEmails, database: Database
) -> None:
    await register(client)
    await register(client)
    first, again = pending_emails.deferred
    pending_emails.deferred = [first]
    [link] = await pending_emails.build(database)
    await verify(client, link)
    pending_emails.deferred = [again]

    [email] = await pending_emails.build(database)
    assert email.subject.endswith(": You already have an account")


async def test_warning_is_sent_to_current_address(
    client: AsyncClient, pending_emails: PendingEmails, database: Database
) -> None:
    await create_account(client, pending_emails, database)
    changed = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    assert (await client.post(f"{AUTH}/change-password", json=changed)).status_code == 204

    # An attacker who changes the password may change the address next, so the warning must not wait.
    assert [email.to for email in pending_emails.emails] == [EMAIL]
    assert pending_emails.deferred == []


async def test_unusable_new_address_is_rejected_immediately(
    client: AsyncClient, pending_emails: PendingEmails, database: Database
) -> None:
    await create_account(client, pending_emails, database)

    assert await change_email(client, "ädä@example.com") == 422
    assert pending_emails.deferred == []
