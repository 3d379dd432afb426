"""Consumers: which functions are called, and with which events."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import Event
from app.events import consumers, contracts
from app.events.consumers import Consumer
from app.events.contracts import Topic, contract
from app.events.envelope import CloudEvent
from tests.events.conftest import TYPE, Happened, Seen, message


@dataclass(frozen=True, kw_only=True)
class Ended(Event):
    """A second sample event."""

    who: str


def read(*messages: bytes) -> list[CloudEvent]:
    return [CloudEvent.model_validate_json(each) for each in messages]


@pytest.mark.usefixtures("happened")
async def test_functions_get_events_of_their_classes(session: AsyncSession) -> None:
    contract(Ended, "test.ended.v1", ended := Topic("test-ended"), key="who")
    consumer, heard = Consumer("test"), []

    @consumer.on(Happened)
    async def one(_: AsyncSession, event: Happened) -> None:
        heard.append(f"one {event.who}")

    @consumer.on_batch(Happened, Ended)
    async def many(_: AsyncSession, events: Sequence[Happened | Ended]) -> None:
        heard.append(f"many {[event.who for event in events]}")

    @consumer.on_batch()
    async def of_all(_: AsyncSession, events: Sequence[Event]) -> None:
        heard.append(f"all {len(events)}")

    await consumer.handle(session, read(message("a"), message("b"), message("c", type="test.ended.v1")))

    assert heard == ["one a", "one b", "many ['a', 'b', 'c']", "all 3"]
    assert set(consumer.topics) == set(contracts.topics())
    assert ended in consumer.topics


async def test_empty_batch_calls_no_function(session: AsyncSession, seen: Seen, topic: Topic) -> None:
    await seen.consumer.handle(session, [])

    assert seen.here == []
    assert seen.consumer.topics == [topic]


def test_consumer_handles_only_registered_event_classes(seen: Seen) -> None:
    contract(Ended, "test.ended.v1", Topic("test-ended"), key="who")
    [wanted, unwanted, unknown] = read(
        message("a"), message("a", type="test.ended.v1"), message("a", type="test.happened.v2")
    )

    assert seen.consumer.wants(wanted)
    assert not seen.consumer.wants(unwanted)
    assert not seen.consumer.wants(unknown)


def test_consumers_have_unique_names(seen: Seen) -> None:
    assert consumers.find(seen.consumer.name) is seen.consumer
    assert {"statistics", seen.consumer.name} <= {consumer.name for consumer in consumers.consumers()}
    with pytest.raises(ValueError, match=f"Another consumer has the name {seen.consumer.name}"):
        Consumer(seen.consumer.name)
    with pytest.raises(LookupError, match=r"No consumer has the name unknown\. Consumers: .*statistics"):
        consumers.find("unknown")


@pytest.mark.parametrize("register", [Consumer.on, Consumer.on_batch])
def test_event_without_contract_is_rejected(register: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="Ended has no contract, so it is never sent"):
        register(Consumer(f"test-{uuid4().hex}"), Ended)(print)


def test_registries_are_restored_after_each_test() -> None:
    assert not contracts.known(TYPE)
    assert [consumer for consumer in consumers.consumers() if consumer.name.startswith("test")] == []
