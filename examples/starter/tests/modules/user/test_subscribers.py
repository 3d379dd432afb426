"""The welcome email, sent by a background job."""

import json
from contextlib import suppress
from uuid import UUID

import pytest
from sqlmodel import col, select

from app.core.exceptions import ConflictError
from app.db.session import Database, transaction
from app.mail.terminal import printed_emails
from app.modules.user.models import User
from app.modules.user.service import UserService
from app.outbox.models import OutboxMessage
from tests.factories import UserCreateFactory
from tests.run_jobs import run_pending_jobs


@pytest.fixture(autouse=True)
def _clear_printed_emails() -> None:
    printed_emails.clear()


async def register(database: Database, email: str = "ada@example.com") -> UUID:
    async with transaction(database.write) as session:
        return (await UserService(session).register(UserCreateFactory.build(email=email))).id


async def pending_job_arguments(database: Database) -> list[object]:
    """The arguments of the pending welcome emails. Other jobs may belong to your project."""
    query = select(OutboxMessage.payload).where(OutboxMessage.name == "welcome").order_by(col(OutboxMessage.number))
    async with transaction(database.read_transaction) as session:
        return list(map(json.loads, (await session.exec(query)).all()))


def welcome_recipients() -> list[str]:
    return [
        email["To"] for email in reversed(printed_emails) if email["Subject"].endswith("Your account has been created")
    ]


async def test_new_users_get_one_welcome_email_each(database: Database) -> None:
    for name in ("ada", "eve"):
        await register(database, f"{name}@example.com")
    assert len(await pending_job_arguments(database)) == 2
    assert welcome_recipients() == [], "the request must not wait for the mail server"
    for _ in range(2):
        await run_pending_jobs(database)

    assert welcome_recipients() == ["ada@example.com", "eve@example.com"]
    assert await pending_job_arguments(database) == []


async def test_rolled_back_registration_enqueues_no_email(database: Database) -> None:
    with suppress(ConflictError):
        async with transaction(database.write) as session:
            await UserService(session).register(UserCreateFactory.build())
            raise ConflictError

    assert await pending_job_arguments(database) == []


async def test_deleted_user_gets_no_welcome_email(database: Database) -> None:
    user_id = await register(database)
    async with transaction(database.write) as session:
        await session.delete(await session.get_one(User, user_id))
    await run_pending_jobs(database)

    assert welcome_recipients() == []
    assert await pending_job_arguments(database) == []


async def test_job_contains_only_the_user_id(database: Database) -> None:
    """The row contains only an id, so personal data is stored in one place only."""
    user_id = await register(database)

    assert await pending_job_arguments(database) == [{"user_id": str(user_id)}]
