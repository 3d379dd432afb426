"""Publishing: events with a contract become outbox messages in the same transaction."""

import json
from contextlib import suppress
from dataclasses import dataclass

import pytest
from structlog.contextvars import bound_contextvars

from app.core.events import Event
from app.core.exceptions import ConflictError
from app.core.openapi import api_metadata
from app.db.session import Database, transaction
from app.messaging.contracts import Topic, contract
from app.modules.user.service import UserService
from tests.factories import UserCreateFactory
from tests.messaging.conftest import EVENT_TIME, EVENT_TYPE, SampleEvent, publish
from tests.outbox.conftest import outbox_rows


@dataclass(frozen=True, kw_only=True)
class EventWithoutContract(Event):
    """An event without a contract."""


async def test_event_is_added_to_outbox(
    empty_database: Database, sample_event: type[SampleEvent], topic: Topic
) -> None:
    with bound_contextvars(request_id="abc", traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"):
        [event_id] = await publish(empty_database, sample_event(who="ada", number=3, occurred_at=EVENT_TIME))

    [row] = await outbox_rows(empty_database)
    assert (row.id, row.destination, row.queue, row.name) == (event_id, "kafka", topic.name, EVENT_TYPE)
    assert (row.key, row.request_id) == ("ada", "abc")
    assert json.loads(row.payload) == {
        "specversion": "1.0",
        "id": str(event_id),
        "source": f"/{api_metadata()['name']}",
        "type": EVENT_TYPE,
        "subject": "ada",
        "time": "2030-01-31T12:00:00Z",
        "datacontenttype": "application/json",
        "requestid": "abc",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "data": {"who": "ada", "number": 3},
    }


@pytest.mark.usefixtures("sample_event")
async def test_event_outside_of_a_request_has_no_request_id(empty_database: Database) -> None:
    await publish(empty_database, SampleEvent(who="ada"))

    [row] = await outbox_rows(empty_database)
    assert row.request_id == ""
    assert not {"requestid", "traceparent"} & json.loads(row.payload).keys()


async def test_event_without_contract_is_not_added(empty_database: Database) -> None:
    await publish(empty_database, EventWithoutContract())
    assert await outbox_rows(empty_database) == []


async def test_events_of_other_services_are_not_added(empty_database: Database) -> None:
    contract(SampleEvent, EVENT_TYPE, Topic("of-the-shop", owned=False), key="who")
    await publish(empty_database, SampleEvent(who="ada"))
    assert await outbox_rows(empty_database) == []


async def test_rollback_discards_event(empty_database: Database) -> None:
    with suppress(ConflictError):
        async with transaction(empty_database.write) as session:
            await UserService(session).register(UserCreateFactory.build())
            raise ConflictError
    assert [row for row in await outbox_rows(empty_database) if row.destination == "kafka"] == []

    async with transaction(empty_database.write) as session:
        user = await UserService(session).register(UserCreateFactory.build())
    [row] = [row for row in await outbox_rows(empty_database) if row.destination == "kafka"]
    assert (row.queue, row.name, row.key) == ("users", "user.registered.v1", str(user.id))
