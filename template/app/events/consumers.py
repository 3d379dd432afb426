"""Consumers: functions that are called when something has happened, here or in another service.

    statistics = Consumer("statistics")

    @statistics.on(UserRegistered)
    async def count(session: AsyncSession, event: UserRegistered) -> None: ...

A function works in one transaction, which also remembers that the event is done: its effect
in the database happens once, however often the event comes. Events with the same key come
in order.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.contextvars import bound_contextvars

from app.core.events import Event
from app.core.openapi import about
from app.events import contracts
from app.events.contracts import Contract, Topic
from app.events.envelope import CloudEvent
from app.outbox.failures import said

E = TypeVar("E", bound=Event)

Handler = Callable[[AsyncSession, E], Awaitable[None]]
BatchHandler = Callable[[AsyncSession, Sequence[E]], Awaitable[None]]
Received = tuple[CloudEvent, Any]  # an event, and what it came in
Called = Callable[[AsyncSession, Sequence[Received]], Awaitable[None]]


class BrokenPromise(Exception):
    """An event does not keep its contract. Nothing will mend that but another event."""


class Consumer:
    """Functions that share a position in the events: what one of them has not done, none of them has."""

    def __init__(self, name: str, *, one_by_one: bool = False) -> None:
        """Give it a name. Kafka remembers the position under it, so another name begins anew.

        Args:
            name: The name.
            one_by_one: Whether each event has a transaction of its own: what leaves the database, such as a mail, is
                not taken back with it, so it must not be done again because of another event.

        Raises:
            ValueError: If there is another of this name.
        """
        if name in _consumers:
            raise ValueError(f"There are two consumers with the name {name}.")
        self.name = name
        self.one_by_one = one_by_one
        self._called: defaultdict[str, list[Called]] = defaultdict(list)
        self._called_for_all: list[Called] = []
        _consumers[name] = self

    @property
    def group(self) -> str:
        """The group under which Kafka remembers its position."""
        return f"{about()['name']}.{self.name}"

    def on(self, *events: type[E]) -> Callable[[Handler[E]], Handler[E]]:
        """Call the decorated function for each event of these classes.

        Raises:
            ValueError: If there is no contract about one of them.
        """

        def register(handler: Handler[E]) -> Handler[E]:
            async def each(session: AsyncSession, batch: Sequence[Received]) -> None:
                for envelope, event in batch:
                    with bound_contextvars(**envelope.context):
                        await handler(session, event)

            self._call(each, events)
            return handler

        return register

    def on_batch(self, *events: type[E]) -> Callable[[BatchHandler[E]], BatchHandler[E]]:
        """Call the decorated function with many events of these classes at once, or of all that have a contract.

        Raises:
            ValueError: If there is no contract about one of them.
        """

        def register(handler: BatchHandler[E]) -> BatchHandler[E]:
            async def many(session: AsyncSession, batch: Sequence[Received]) -> None:
                await handler(session, [event for _, event in batch])

            self._call(many, events)
            return handler

        return register

    @property
    def topics(self) -> list[Topic]:
        """The topics that it listens to, by name."""
        found = {made.topic for made in contracts.contracts() if self._wanting(made.type)}
        return sorted(found, key=lambda topic: topic.name)

    def wants(self, envelope: CloudEvent) -> bool:
        """Tell whether a function of it is called for an event."""
        return contracts.known(envelope.type) and bool(self._wanting(envelope.type))

    async def handle(self, session: AsyncSession, envelopes: Sequence[CloudEvent]) -> None:
        """Do what events ask for, inside the transaction of `session`.

        Raises:
            BrokenPromise: If one does not keep its contract.
        """
        batches: dict[Called, list[Received]] = {}
        for envelope in envelopes:
            event = _read(envelope)
            for called in self._wanting(envelope.type):
                batches.setdefault(called, []).append((envelope, event))
        for called, batch in batches.items():
            await called(session, batch)

    def _call(self, called: Called, events: Iterable[type[Event]]) -> None:
        types = [_contract(event).type for event in events]
        for type_ in types:
            self._called[type_].append(called)
        if not types:
            self._called_for_all.append(called)

    def _wanting(self, type_: str) -> list[Called]:
        return [*self._called.get(type_, ()), *self._called_for_all]


_consumers: dict[str, Consumer] = {}


def consumers() -> Iterable[Consumer]:
    """List all consumers, by name."""
    return [_consumers[name] for name in sorted(_consumers)]


def find(name: str) -> Consumer:
    """Return the consumer of a name.

    Raises:
        LookupError: If there is none.
    """
    if name not in _consumers:
        raise LookupError(f"There is no consumer {name}. There are: {', '.join(sorted(_consumers))}.")
    return _consumers[name]


def _read(envelope: CloudEvent) -> Event:
    try:
        event: Event = contracts.named(envelope.type).read(envelope)
    except ValidationError as error:
        raise BrokenPromise(said(error)) from None
    return event


def _contract(event: type[Event]) -> Contract[Any]:
    made = contracts.of(event)
    if made is None:
        raise ValueError(f"There is no contract about {event.__name__}, so nobody sends it.")
    return made
