"""Consumers with effects outside of the database use a separate transaction for each event."""

from uuid import uuid4

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.session import Database
from app.messaging.consumers import Consumer
from app.messaging.inbox import Inbox
from app.outbox.errors import RetryLater
from tests.messaging.conftest import SampleEvent, make_message_bytes


@pytest.mark.parametrize(("one_by_one", "called"), [(True, [0, 1, 1, 2]), (False, [0, 1, 0, 1, 2])])
async def test_retry_of_one_event_does_not_repeat_others(
    empty_database: Database, sample_event: type[SampleEvent], one_by_one: bool, called: list[int]
) -> None:
    seen: list[int] = []
    consumer = Consumer(f"test-{uuid4().hex}", one_by_one=one_by_one)

    @consumer.on(sample_event)
    async def see(_: AsyncSession, event: SampleEvent) -> None:
        seen.append(event.number)
        if seen.count(1) == 1 and event.number == 1:
            raise RetryLater

    messages = [make_message_bytes("ada", number) for number in range(3)]
    with pytest.raises(RetryLater):
        await Inbox(empty_database, consumer).process_batch(messages)
    await Inbox(empty_database, consumer).process_batch(messages)
    assert seen == called
