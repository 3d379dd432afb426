"""Contracts: which events leave the service, under which name, and where to.

    USERS = Topic("users")

    contract(UserRegistered, "user.registered.v1", USERS, key="user_id")

The fields of the event are its data. Other services read them, so they change by addition
only; what has to change otherwise is another event, with another version in its name.
`docs/contracts/events` holds what was promised, and a test holds the code to it.
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
from app.events.envelope import CloudEvent

E = TypeVar("E", bound=Event)

_TYPE = re.compile(r"[a-z0-9_]+([.-][a-z0-9_]+)*\.v[1-9][0-9]*")  # also the name of a file

ENVELOPE = {field.name for field in fields(Event)}  # these are in the envelope, and not in the data


@dataclass(frozen=True)
class Topic:
    """Where events of one kind of thing go. Those with the same key are in one partition, so they keep their order."""

    name: str
    partitions: int = 6
    retention: timedelta = timedelta(days=7)
    compacted: bool = False
    ours: bool = True  # another service's is neither created here nor promised anything about


@dataclass(frozen=True)
class Contract(Generic[E]):
    """The promise about one event."""

    event: type[E]
    type: str
    topic: Topic
    key: str

    def key_of(self, event: E) -> str:
        """Return whom or what it happened to."""
        return str(getattr(event, self.key))

    def data(self, event: E) -> dict[str, Any]:
        """Return the fields of an event as JSON has them."""
        return self._adapter.dump_python(event, mode="json", exclude=ENVELOPE)

    def read(self, envelope: CloudEvent) -> E:
        """Make the event again that somebody has sent; fields that are not known here are left out.

        Raises:
            ValidationError: If it does not keep the promise.
        """
        data = {**envelope.data, "event_id": _uuid(envelope), "occurred_at": envelope.time}
        return self._adapter.validate_python(data)

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the data."""
        schema = self._adapter.json_schema(mode="serialization")
        schema["properties"] = {name: rule for name, rule in schema["properties"].items() if name not in ENVELOPE}
        schema["required"] = sorted(schema["properties"])  # fields with a default are written all the same
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": self.type, **schema}

    @cached_property
    def _adapter(self) -> TypeAdapter[E]:
        """What reads and writes the fields. To make it takes longer than all else that is done for an event."""
        return TypeAdapter(self.event)


_by_event: dict[type[Event], Contract[Any]] = {}
_by_type: dict[str, Contract[Any]] = {}


def contract(event: type[E], type: str, topic: Topic, *, key: str) -> Contract[E]:  # noqa: A002 - the word of CloudEvents
    """Let events of a class leave the service.

    Args:
        event: The class.
        type: Its name for others, with a version: `user.registered.v1`.
        topic: Where they go.
        key: The field that says whom or what it happened to. Events with the same value keep their order.

    Raises:
        ValueError: If it is no such name, the class or the name has a contract, or there is no such field.
    """
    if not _TYPE.fullmatch(type):
        raise ValueError(f"{type!r} is no name of an event. Example: user.registered.v1")
    if event in _by_event or type in _by_type:
        raise ValueError(f"{event.__name__} and {type} can have one contract.")
    if key not in {field.name for field in fields(event)} - ENVELOPE:
        raise ValueError(f"{event.__name__} has no field {key}, which is to be its key.")
    made = Contract(event, type, topic, key)
    _by_event[event] = _by_type[type] = made
    return made


def of(event: type[Event]) -> Contract[Any] | None:
    """Return the contract of a class of events, if they leave the service."""
    return _by_event.get(event)


def known(type: str) -> bool:  # noqa: A002 - the word of CloudEvents
    """Tell whether a contract of this name is known here."""
    return type in _by_type


def named(type: str) -> Contract[Any]:  # noqa: A002 - the word of CloudEvents
    """Return the contract of a name.

    Raises:
        KeyError: If it is not known here.
    """
    return _by_type[type]


def contracts() -> Iterable[Contract[Any]]:
    """List all contracts, by name."""
    return sorted(_by_type.values(), key=lambda made: made.type)


def promised() -> list[Contract[Any]]:
    """List those that are kept here: about events in topics of ours."""
    return [made for made in contracts() if made.topic.ours]


def topics() -> list[Topic]:
    """List the topics of all contracts, by name."""
    return sorted({made.topic for made in contracts()}, key=lambda topic: topic.name)


def _uuid(envelope: CloudEvent) -> UUID:
    """Others may name their events as they like; within their source the name is unique (CloudEvents 1.0, 3.1)."""
    try:
        return UUID(envelope.id)
    except ValueError:
        return uuid5(NAMESPACE_URL, f"{envelope.source} {envelope.id}")
