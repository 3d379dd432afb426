"""Trace context: events contain that of their request, and further events that of their cause."""

import json
import re
from collections.abc import AsyncGenerator
from uuid import uuid4

import pytest
from httpx2 import ASGITransport, AsyncClient
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.contextvars import get_contextvars

from app.core.events import publish
from app.db.session import Database
from app.main import create_app
from app.messaging.consumers import Consumer
from app.messaging.envelope import CloudEvent
from app.messaging.inbox import Inbox
from tests.messaging.conftest import SampleEvent, make_message_bytes
from tests.outbox.conftest import outbox_rows

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NEW_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00")


@pytest.fixture
async def client() -> AsyncGenerator[AsyncClient]:
    """A client of an app that returns the current trace."""
    app = create_app()
    app.get("/trace")(lambda: get_contextvars()["traceparent"])
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client


async def test_trace_of_caller_is_continued(client: AsyncClient) -> None:
    assert (await client.get("/trace", headers={"traceparent": TRACEPARENT})).json() == TRACEPARENT


@pytest.mark.parametrize(
    "given",
    [
        "",
        "hunter2",
        TRACEPARENT.replace("00-", "ff-", 1),
        TRACEPARENT.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
        TRACEPARENT.replace("b7ad6b7169203331", "0" * 16),
        TRACEPARENT.upper(),
        f"{TRACEPARENT[:-2]}",
    ],
)
async def test_missing_or_invalid_trace_starts_new_one(client: AsyncClient, given: str) -> None:
    one, two = [(await client.get("/trace", headers={"traceparent": given})).json() for _ in range(2)]

    assert NEW_TRACEPARENT.fullmatch(one)
    assert NEW_TRACEPARENT.fullmatch(two)
    assert one != two


@pytest.mark.usefixtures("sample_event")
async def test_consumer_passes_on_trace_and_request_id(empty_database: Database) -> None:
    consumer = Consumer(f"test-{uuid4().hex}")

    @consumer.on(SampleEvent)
    async def publish_another(session: AsyncSession, event: SampleEvent) -> None:
        if event.number == 1:
            await publish(session, SampleEvent(who="b", number=2))

    await Inbox(empty_database, consumer).process_batch(
        [make_message_bytes("a", 1, requestid="abc", traceparent=TRACEPARENT), make_message_bytes("a", 3)]
    )

    [row] = await outbox_rows(empty_database)
    envelope = CloudEvent.model_validate(json.loads(row.payload))
    assert (row.request_id, envelope.requestid, envelope.traceparent) == ("abc", "abc", TRACEPARENT)
