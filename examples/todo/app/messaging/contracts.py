"""Contracts: which events the service publishes, under which name, and to which topic.

    USERS = Topic("users")

    contract(UserRegistered, "user.registered.v1", USERS, key="user_id")

The fields of the event are its data. Other services depend on them, so fields are only added;
any other change needs a new event with another version in its name. `docs/contracts/events`
contains the published schemas, and a test compares the code with them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import cached_property
from typing import Any, Generic, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import TypeAdapter

from app.core.events import Event
from app.messaging.envelope import CloudEvent

E = TypeVar("E", bound=Event)

_TYPE = re.compile(r"[a-z0-9_]+([.-][a-z0-9_]+)*\.v[1-9][0-9]*")  # also a file name

ENVELOPE_FIELDS = {field.name for field in fields(Event)}  # fields of the envelope, not of the data


@dataclass(frozen=True)
class Topic:
    """A topic for the events of one kind of entity. Events with the same key share a partition, in order."""

    name: str
    partitions: int = 6
    retention: timedelta = timedelta(days=7)
    compacted: bool = False
    owned: bool = True  # topics of other services are not created here, and have no published schemas here


@dataclass(frozen=True)
class Contract(Generic[E]):
    """The published name, topic, and key of one event class."""

    event: type[E]
    type: str
    topic: Topic
    key: str

    def key_of(self, event: E) -> str:
        """Return the key: the id of what the event is about."""
        return str(getattr(event, self.key))

    def data(self, event: E) -> dict[str, Any]:
        """Return the fields of an event as JSON values."""
        return self._adapter.dump_python(event, mode="json", exclude=ENVELOPE_FIELDS)

    def read(self, envelope: CloudEvent) -> E:
        """Return the event of an envelope. Unknown fields are ignored.

        Raises:
            ValidationError: If the data does not match the contract.
        """
        data = {**envelope.data, "event_id": _uuid(envelope), "occurred_at": envelope.time}
        return self._adapter.validate_python(data)

    @cached_property
    def _adapter(self) -> TypeAdapter[E]:
        """Cached, because creating it takes longer than everything else for an event."""
        return TypeAdapter(self.event)


_by_event: dict[type[Event], Contract[Any]] = {}
_by_type: dict[str, Contract[Any]] = {}


def contract(event: type[E], type: str, topic: Topic, *, key: str) -> Contract[E]:  # noqa: A002 - the term of CloudEvents
    """Publish events of a class, or declare those of another service.

    Args:
        event: The event class.
        type: Published name with a version: `user.registered.v1`.
        topic: The topic.
        key: Field with the id of what the event is about. Events with the same value keep their order.

    Raises:
        ValueError: If the name is invalid, the class or the name already has a contract, or the field does not exist.
    """
    if not _TYPE.fullmatch(type):
        raise ValueError(f"{type!r} is not a valid event name. Example: user.registered.v1")
    if event in _by_event or type in _by_type:
        raise ValueError(f"{event.__name__} or {type} already has a contract.")
    if key not in {field.name for field in fields(event)} - ENVELOPE_FIELDS:
        raise ValueError(f"The key of {event.__name__} must be one of its fields: {key}.")
    declared = Contract(event, type, topic, key)
    _by_event[event] = _by_type[type] = declared
    return declared


def contract_for(event: type[Event]) -> Contract[Any] | None:
    """Return the contract of an event class, or None."""
    return _by_event.get(event)


def type_of(event: Event) -> str:
    """Return the published name of an event with a contract."""
    return _by_event[type(event)].type


def is_known_type(type: str) -> bool:  # noqa: A002 - the term of CloudEvents
    """Return whether there is a contract with this name."""
    return type in _by_type


def contract_by_type(type: str) -> Contract[Any]:  # noqa: A002 - the term of CloudEvents
    """Return the contract with a name.

    Raises:
        KeyError: If there is none.
    """
    return _by_type[type]


def all_contracts() -> Iterable[Contract[Any]]:
    """Return all contracts, by name."""
    return sorted(_by_type.values(), key=lambda each: each.type)


def all_topics() -> list[Topic]:
    """Return the topics of all contracts, by name."""
    return sorted({each.topic for each in all_contracts()}, key=lambda topic: topic.name)


def _uuid(envelope: CloudEvent) -> UUID:
    """Derive a UUID from any id. Ids are unique within their source (CloudEvents 1.0, 3.1)."""
    try:
        return UUID(envelope.id)
    except ValueError:
        return uuid5(NAMESPACE_URL, f"{envelope.source} {envelope.id}")
