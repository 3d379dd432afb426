"""Consumers: which functions are called, and with which events."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import Event
from app.messaging import consumers, contracts
from app.messaging.consumers import Consumer
from app.messaging.contracts import Topic, contract
from app.messaging.envelope import CloudEvent
from tests.messaging.conftest import EVENT_TYPE, RecordingConsumer, SampleEvent, make_message_bytes


@dataclass(frozen=True, kw_only=True)
class SecondEvent(Event):
    """A second sample event."""

    who: str


def parse_messages(*messages: bytes) -> list[CloudEvent]:
    return [CloudEvent.model_validate_json(each) for each in messages]


@pytest.mark.usefixtures("sample_event")
async def test_functions_get_events_of_their_classes(session: AsyncSession) -> None:
    contract(SecondEvent, "test.ended.v1", ended := Topic("test-ended"), key="who")
    consumer, received = Consumer("test"), []

    @consumer.on(SampleEvent)
    async def handle_one(_: AsyncSession, event: SampleEvent) -> None:
        received.append(f"one {event.who}")

    @consumer.on_batch(SampleEvent, SecondEvent)
    async def handle_batch(_: AsyncSession, events: Sequence[SampleEvent | SecondEvent]) -> None:
        received.append(f"many {[event.who for event in events]}")

    @consumer.on_batch()
    async def handle_all(_: AsyncSession, events: Sequence[Event]) -> None:
        received.append(f"all {len(events)}")

    await consumer.handle(
        session,
        parse_messages(make_message_bytes("a"), make_message_bytes("b"), make_message_bytes("c", type="test.ended.v1")),
    )

    assert received == ["one a", "one b", "many ['a', 'b']", "all 2", "many ['c']", "all 1"]
    assert set(consumer.topics) == set(contracts.all_topics())
    assert ended in consumer.topics


async def test_events_are_handled_in_order_by_different_functions(
    session: AsyncSession, sample_event: type[SampleEvent], topic: Topic
) -> None:
    contract(SecondEvent, "test.ended.v1", topic, key="who")
    consumer, received = Consumer(f"test-{uuid4().hex}"), []

    @consumer.on(SampleEvent)
    async def began(_: AsyncSession, event: SampleEvent) -> None:
        received.append(f"began {event.who}")

    @consumer.on(SecondEvent)
    async def ended(_: AsyncSession, event: SecondEvent) -> None:
        received.append(f"ended {event.who}")

    await consumer.handle(
        session,
        parse_messages(
            make_message_bytes("a", type="test.ended.v1"),
            make_message_bytes("b"),
            make_message_bytes("b", type="test.ended.v1"),
        ),
    )

    assert received == ["ended a", "began b", "ended b"]


async def test_empty_batch_calls_no_function(
    session: AsyncSession, recording_consumer: RecordingConsumer, topic: Topic
) -> None:
    await recording_consumer.consumer.handle(session, [])

    assert recording_consumer.handled == []
    assert recording_consumer.consumer.topics == [topic]


def test_consumer_handles_only_registered_event_classes(recording_consumer: RecordingConsumer) -> None:
    contract(SecondEvent, "test.ended.v1", Topic("test-ended"), key="who")
    [registered, unregistered, unknown] = parse_messages(
        make_message_bytes("a"),
        make_message_bytes("a", type="test.ended.v1"),
        make_message_bytes("a", type="test.happened.v2"),
    )

    assert recording_consumer.consumer.handles(registered)
    assert not recording_consumer.consumer.handles(unregistered)
    assert not recording_consumer.consumer.handles(unknown)


def test_consumers_have_unique_names(recording_consumer: RecordingConsumer) -> None:
    assert consumers.get_consumer(recording_consumer.consumer.name) is recording_consumer.consumer
    assert {"statistics", recording_consumer.consumer.name} <= {consumer.name for consumer in consumers.all_consumers()}
    with pytest.raises(ValueError, match=f"Another consumer has the name {recording_consumer.consumer.name}"):
        Consumer(recording_consumer.consumer.name)
    with pytest.raises(LookupError, match=r"No consumer has the name unknown\. Consumers: .*statistics"):
        consumers.get_consumer("unknown")


@pytest.mark.parametrize("register", [Consumer.on, Consumer.on_batch])
def test_event_without_contract_is_rejected(register: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="SecondEvent has no contract, so it is never sent"):
        register(Consumer(f"test-{uuid4().hex}"), SecondEvent)(print)


def test_compacted_topic_is_rejected(recording_consumer: RecordingConsumer, topic: Topic) -> None:
    """Its events never expire, but the ids that the inbox keeps do."""
    catch_all = Consumer(f"test-{uuid4().hex}")

    @catch_all.on_batch()
    async def count(session: AsyncSession, events: Sequence[Event]) -> None: ...

    contract(SecondEvent, "test.ended.v1", Topic("test-states", compacted=True), key="who")

    assert recording_consumer.consumer.topics == [topic]
    with pytest.raises(ValueError, match="cannot subscribe to test-states, which is a compacted topic"):
        _ = catch_all.topics


def test_registries_are_restored_after_each_test() -> None:
    assert not contracts.is_known_type(EVENT_TYPE)
    assert [consumer for consumer in consumers.all_consumers() if consumer.name.startswith("test")] == []
