"""Consumers: functions that handle events of this service and of others.

    statistics = Consumer("statistics")

    @statistics.on(UserRegistered)
    async def count(session: AsyncSession, event: UserRegistered) -> None: ...

A function runs in a transaction that also stores the event's id, so its database changes
happen once, however often the event is delivered. Events with the same key are handled in order.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, TypeVar

from pydantic import ValidationError
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.contextvars import bound_contextvars

from app.core.events import Event
from app.core.openapi import api_metadata
from app.messaging import contracts
from app.messaging.contracts import Contract, Topic
from app.messaging.envelope import CloudEvent
from app.outbox.errors import ExpectedError, describe_error

E = TypeVar("E", bound=Event)

Handler = Callable[[AsyncSession, E], Awaitable[None]]
BatchHandler = Callable[[AsyncSession, Sequence[E]], Awaitable[None]]
Received = tuple[CloudEvent, Any]  # an envelope and its event
BatchCallback = Callable[[AsyncSession, Sequence[Received]], Awaitable[None]]


class ContractViolation(ExpectedError):
    """An event does not match its contract. Retrying does not help."""


class Consumer:
    """A Kafka consumer group: functions that share one position in the topics, so all run before it moves on."""

    def __init__(self, name: str, *, process: str = "consumer") -> None:
        """Register a consumer. Kafka stores the position under its name, so renaming it starts from the beginning.

        Args:
            name: Unique name.
            process: The process that runs it (`app/processes.py`).

        Raises:
            ValueError: If the name is taken.
        """
        if name in _consumers:
            raise ValueError(f"Another consumer has the name {name}.")
        self.name = name
        self.process = process
        self._callbacks: defaultdict[str, list[BatchCallback]] = defaultdict(list)
        self._catch_all_callbacks: list[BatchCallback] = []
        _consumers[name] = self

    @property
    def group(self) -> str:
        """The consumer group under which Kafka stores the position."""
        return f"{api_metadata()['name']}.{self.name}"

    def on(self, *events: type[E]) -> Callable[[Handler[E]], Handler[E]]:
        """Call the decorated function for each event of these classes.

        Raises:
            ValueError: If one of them has no contract.
        """

        def register(handler: Handler[E]) -> Handler[E]:
            async def call_each(session: AsyncSession, batch: Sequence[Received]) -> None:
                for envelope, event in batch:
                    with bound_contextvars(**envelope.context):
                        await handler(session, event)

            self._register_callback(call_each, events)
            return handler

        return register

    def on_batch(self, *events: type[E]) -> Callable[[BatchHandler[E]], BatchHandler[E]]:
        """Call the decorated function with batches of events of these classes, or of all with a contract.

        Raises:
            ValueError: If one of them has no contract.
        """

        def register(handler: BatchHandler[E]) -> BatchHandler[E]:
            async def call_batch(session: AsyncSession, batch: Sequence[Received]) -> None:
                await handler(session, [event for _, event in batch])

            self._register_callback(call_batch, events)
            return handler

        return register

    @property
    def topics(self) -> list[Topic]:
        """The topics it subscribes to, by name.

        Raises:
            ValueError: If one of them is compacted.
        """
        found = {contract.topic for contract in contracts.all_contracts() if self._callbacks_for(contract.type)}
        for topic in found:
            if topic.compacted:
                raise ValueError(
                    f"The consumer {self.name} cannot subscribe to {topic.name}, which is a compacted topic: Kafka keeps "
                    "its events indefinitely, but the ids of handled events are deleted after a while, so an event that "
                    "is delivered again could be handled again. Use a topic without compaction, or, in on_batch(), name "
                    "the event classes of the other topics."
                )
        return sorted(found, key=lambda topic: topic.name)

    def handles(self, envelope: CloudEvent) -> bool:
        """Return whether one of its functions handles an event."""
        return contracts.is_known_type(envelope.type) and bool(self._callbacks_for(envelope.type))

    async def handle(self, session: AsyncSession, envelopes: Sequence[CloudEvent]) -> None:
        """Handle events in the transaction of `session`, in their order.

        Raises:
            ContractViolation: If an event does not match its contract.
        """
        received = [(envelope, _parse_event(envelope)) for envelope in envelopes]
        # Only consecutive events are passed together: other functions may handle those in between, of the same key.
        for callbacks, consecutive in groupby(received, lambda each: self._callbacks_for(each[0].type)):
            batch = list(consecutive)
            for callback in callbacks:
                await callback(session, batch)

    def _register_callback(self, callback: BatchCallback, events: Iterable[type[Event]]) -> None:
        types = [_contract_for(event).type for event in events]
        for type_ in types:
            self._callbacks[type_].append(callback)
        if not types:
            self._catch_all_callbacks.append(callback)

    def _callbacks_for(self, type_: str) -> list[BatchCallback]:
        return [*self._callbacks.get(type_, ()), *self._catch_all_callbacks]


_consumers: dict[str, Consumer] = {}


def all_consumers() -> Iterable[Consumer]:
    """Return all consumers, by name."""
    return [_consumers[name] for name in sorted(_consumers)]


def get_consumer(name: str) -> Consumer:
    """Return the consumer with a name.

    Raises:
        LookupError: If no consumer has it.
    """
    if name not in _consumers:
        raise LookupError(f"No consumer has the name {name}. Consumers: {', '.join(sorted(_consumers))}.")
    return _consumers[name]


def _parse_event(envelope: CloudEvent) -> Event:
    try:
        event: Event = contracts.contract_by_type(envelope.type).read(envelope)
    except ValidationError as error:
        raise ContractViolation(describe_error(error)) from None
    return event


def _contract_for(event: type[Event]) -> Contract[Any]:
    contract = contracts.contract_for(event)
    if contract is None:
        raise ValueError(f"{event.__name__} has no contract, so it is never sent.")
    return contract
