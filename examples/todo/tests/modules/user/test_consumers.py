"""The welcome email, sent by an event consumer."""

from uuid import UUID, uuid4

import pytest

from app.core.openapi import api_metadata
from app.db.session import Database, transaction
from app.mail import Mail, delivery
from app.mail.delivery import MailDeliveryDelayed, send
from app.mail.terminal import printed_emails
from app.messaging.inbox import Inbox
from app.modules.user.consumers import welcome_consumer
from app.modules.user.events import UserRegistered
from app.modules.user.models import User
from tests.messaging.conftest import to_message_bytes


@pytest.fixture(autouse=True)
def _clear_printed_emails() -> None:
    printed_emails.clear()


async def join(database: Database, name: str = "ada") -> UUID:
    async with transaction(database.write) as session:
        user = User(email=f"{name}@example.com", name=name.title())
        session.add(user)
    return user.id


async def test_duplicate_events_send_one_welcome_email(database: Database) -> None:
    event = UserRegistered(user_id=await join(database))
    for _ in range(2):
        await Inbox(database, welcome_consumer).process_batch([to_message_bytes(event), to_message_bytes(event)])

    [mail] = printed_emails
    assert (mail["To"], mail["Subject"]) == (
        "ada@example.com",
        f"{api_metadata()['title']}: Your account has been created",
    )
    assert mail["Message-ID"].startswith(f"<{event.event_id}.welcome@")


async def test_deleted_user_gets_no_welcome_email(database: Database) -> None:
    await Inbox(database, welcome_consumer).process_batch([to_message_bytes(UserRegistered(user_id=uuid4()))])
    assert list(printed_emails) == []


async def test_retry_after_outage_sends_no_email_twice(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go_away_once(name: str, mail: Mail) -> None:
        asked.append(mail.to)
        if len(asked) == 2:
            raise MailDeliveryDelayed
        await send(name, mail)

    asked: list[str] = []
    monkeypatch.setattr(delivery, "send", go_away_once)
    events = [to_message_bytes(UserRegistered(user_id=await join(database, name))) for name in ("ada", "eve")]
    with pytest.raises(MailDeliveryDelayed):
        await Inbox(database, welcome_consumer).process_batch(events)
    await Inbox(database, welcome_consumer).process_batch(events)

    assert [mail["To"] for mail in reversed(printed_emails)] == ["ada@example.com", "eve@example.com"]
