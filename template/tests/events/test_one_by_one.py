"""Consumers with effects outside of the database use a separate transaction for each event."""

from uuid import uuid4

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.session import Database
from app.events.consumers import Consumer
from app.events.inbox import Inbox
from app.outbox.failures import TryAgain
from tests.events.conftest import Happened, message


@pytest.mark.parametrize(("one_by_one", "called"), [(True, [0, 1, 1, 2]), (False, [0, 1, 0, 1, 2])])
async def test_retry_of_one_event_does_not_repeat_others(
    store: Database, happened: type[Happened], one_by_one: bool, called: list[int]
) -> None:
    seen: list[int] = []
    consumer = Consumer(f"test-{uuid4().hex}", one_by_one=one_by_one)

    @consumer.on(happened)
    async def see(_: AsyncSession, event: Happened) -> None:
        seen.append(event.number)
        if seen.count(1) == 1 and event.number == 1:
            raise TryAgain

    messages = [message("ada", number) for number in range(3)]
    with pytest.raises(TryAgain):
        await Inbox(store, consumer).take(messages)
    await Inbox(store, consumer).take(messages)
    assert seen == called
