"""The welcome email, triggered by an event consumer."""

from uuid import uuid4

import pytest

from app.core.openapi import api_metadata
from app.db.session import Database, transaction
from app.mail.terminal import printed_emails
from app.messaging.inbox import Inbox
from app.modules.user.consumers import welcome_consumer
from app.modules.user.events import UserRegistered
from app.modules.user.models import User
from tests.messaging.conftest import to_message_bytes
from tests.outbox.conftest import outbox_rows
from tests.run_jobs import run_pending_jobs


@pytest.fixture(autouse=True)
def _clear_printed_emails() -> None:
    printed_emails.clear()


async def test_duplicate_events_send_one_welcome_email(database: Database) -> None:
    async with transaction(database.write) as session:
        user = User(email="ada@example.com", name="Ada")
        session.add(user)
    event = UserRegistered(user_id=user.id)
    for _ in range(2):
        await Inbox(database, welcome_consumer).process_batch([to_message_bytes(event), to_message_bytes(event)])
    assert len(await outbox_rows(database)) == 1
    assert list(printed_emails) == [], "the transaction of the consumer must not wait for the mail server"
    await run_pending_jobs(database)

    [email] = printed_emails
    assert (email["To"], email["Subject"]) == (
        "ada@example.com",
        f"{api_metadata()['title']}: Your account has been created",
    )


async def test_deleted_user_gets_no_welcome_email(database: Database) -> None:
    await Inbox(database, welcome_consumer).process_batch([to_message_bytes(UserRegistered(user_id=uuid4()))])
    await run_pending_jobs(database)

    assert list(printed_emails) == []
