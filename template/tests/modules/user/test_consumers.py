"""The welcome email, sent by an event consumer."""

from uuid import UUID, uuid4

import pytest

from app.core.openapi import about
from app.db.session import Database, transaction
from app.events.inbox import Inbox
from app.mail import Mail, delivery
from app.mail.delivery import MailNotSentYet, send
from app.mail.terminal import shown
from app.modules.user.consumers import welcoming
from app.modules.user.events import UserRegistered
from app.modules.user.models import User
from tests.events.conftest import as_message


@pytest.fixture(autouse=True)
def _no_mails() -> None:
    shown.clear()


async def join(database: Database, name: str = "ada") -> UUID:
    async with transaction(database.writers) as session:
        user = User(email=f"{name}@example.com", name=name.title())
        session.add(user)
    return user.id


async def test_duplicate_events_send_one_welcome_email(database: Database) -> None:
    event = UserRegistered(user_id=await join(database))
    for _ in range(2):
        await Inbox(database, welcoming).take([as_message(event), as_message(event)])

    [mail] = shown
    assert (mail["To"], mail["Subject"]) == ("ada@example.com", f"{about()['title']}: Your account has been created")
    assert mail["Message-ID"].startswith(f"<{event.event_id}.welcome@")


async def test_deleted_user_gets_no_welcome_email(database: Database) -> None:
    await Inbox(database, welcoming).take([as_message(UserRegistered(user_id=uuid4()))])
    assert list(shown) == []


async def test_retry_after_outage_sends_no_email_twice(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go_away_once(name: str, mail: Mail) -> None:
        asked.append(mail.to)
        if len(asked) == 2:
            raise MailNotSentYet
        await send(name, mail)

    asked: list[str] = []
    monkeypatch.setattr(delivery, "send", go_away_once)
    events = [as_message(UserRegistered(user_id=await join(database, name))) for name in ("ada", "eve")]
    with pytest.raises(MailNotSentYet):
        await Inbox(database, welcoming).take(events)
    await Inbox(database, welcoming).take(events)

    assert [mail["To"] for mail in reversed(shown)] == ["ada@example.com", "eve@example.com"]
