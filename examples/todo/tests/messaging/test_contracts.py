"""Contracts: names, topics, and keys of published events."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
from polyfactory.factories import DataclassFactory
from pydantic import TypeAdapter, ValidationError

from app.core.events import Event
from app.messaging import contracts
from app.messaging.contracts import Contract, Topic, contract
from app.messaging.envelope import CloudEvent
from tests.messaging.conftest import EVENT_TIME, EVENT_TYPE, SampleEvent, make_message_bytes, to_envelope

PUBLISHED_CONTRACTS = list(contracts.all_contracts())


@dataclass(frozen=True, kw_only=True)
class Another(Event):
    """A second sample event."""

    who: UUID


@pytest.mark.parametrize("made", PUBLISHED_CONTRACTS, ids=lambda made: made.type)
def test_published_events_can_be_read_again(made: Contract[Event]) -> None:
    event = DataclassFactory.create_factory(made.event).build(occurred_at=EVENT_TIME)
    envelope = CloudEvent(
        id=str(event.event_id),
        source="/x",
        type=made.type,
        subject=made.key_of(event),
        time=EVENT_TIME,
        data=made.data(event),
    )

    assert made.read(envelope) == event
    assert made.data(event)[made.key] == made.key_of(event)


@pytest.mark.parametrize("made", PUBLISHED_CONTRACTS, ids=lambda made: made.type)
def test_names_have_versions(made: Contract[Event]) -> None:
    assert made.type.rpartition(".")[2][0] == "v"
    assert made.type.rpartition(".v")[2].isdecimal()


def test_events_of_users_are_published() -> None:
    assert {"user.registered.v1", "user.deleted.v1"} <= {made.type for made in PUBLISHED_CONTRACTS}
    assert "users" in {topic.name for topic in contracts.all_topics()}


def test_contract_has_name_and_topic(sample_event: type[SampleEvent], topic: Topic) -> None:
    made = contracts.contract_for(SampleEvent)

    assert made == contracts.contract_by_type(EVENT_TYPE)
    assert contracts.is_known_type(EVENT_TYPE)
    assert not contracts.is_known_type("test.unknown.v1")
    assert topic in contracts.all_topics()


def test_type_adapter_is_cached(sample_event: type[SampleEvent], monkeypatch: pytest.MonkeyPatch) -> None:
    """Creating it takes as long as using it a thousand times."""
    made: list[type] = []

    def create_adapter(type_: type) -> TypeAdapter[Any]:
        made.append(type_)
        return TypeAdapter(type_)

    monkeypatch.setattr(contracts, "TypeAdapter", create_adapter)
    for number in range(3):
        sent = to_envelope(sample_event(who="ada", number=number))
        assert contracts.contract_by_type(EVENT_TYPE).read(sent).number == number

    assert made == [sample_event]


def test_event_without_contract_is_not_published() -> None:
    assert contracts.contract_for(Another) is None


@pytest.mark.usefixtures("sample_event")
@pytest.mark.parametrize(
    ("event", "type_", "key", "expected"),
    [
        (SampleEvent, "test.happened.v2", "who", "SampleEvent or test.happened.v2 already has a contract."),
        (Another, "Another", "who", "'Another' is not a valid event name. Example: user.registered.v1"),
        (Another, EVENT_TYPE, "who", f"Another or {EVENT_TYPE} already has a contract."),
        (Another, "test.another.v1", "whom", "The key of Another must be one of its fields: whom."),
        (Another, "test.another.v1", "event_id", "The key of Another must be one of its fields: event_id."),
    ],
)
def test_invalid_contract_is_rejected(event: type[Event], type_: str, key: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        contract(event, type_, Topic("test"), key=key)
    assert (contracts.contract_for(Another), contracts.is_known_type("test.another.v1")) == (None, False)


@pytest.mark.usefixtures("sample_event")
def test_unknown_fields_are_ignored() -> None:
    envelope = CloudEvent.model_validate_json(
        make_message_bytes("ada", 3, data={"mood": "good"}, id=(id_ := str(uuid4())))
    )

    assert contracts.contract_by_type(EVENT_TYPE).read(envelope) == SampleEvent(
        who="ada", number=3, event_id=UUID(id_), occurred_at=EVENT_TIME
    )


@pytest.mark.usefixtures("sample_event")
def test_ids_of_other_services_need_not_be_uuids() -> None:
    def read(id_: str, source: str) -> UUID:
        made: Event = contracts.contract_by_type(EVENT_TYPE).read(
            CloudEvent.model_validate_json(make_message_bytes("ada", id=id_, source=source))
        )
        return made.event_id

    assert read("order-1", "/shop") == read("order-1", "/shop")
    assert len({read("order-1", "/shop"), read("order-2", "/shop"), read("order-1", "/bank")}) == 3


@pytest.mark.usefixtures("sample_event")
def test_missing_field_violates_contract() -> None:
    envelope = CloudEvent.model_validate_json(make_message_bytes("ada")).model_copy(update={"data": {}})
    with pytest.raises(ValidationError, match="who"):
        contracts.contract_by_type(EVENT_TYPE).read(envelope)
