"""Domain events: the publisher of an event does not know its subscribers.

Handlers run immediately, in the transaction of the caller, so they must be fast and must not
call other systems. An exception in a handler rolls back the whole transaction.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Event:
    """A domain event, named in the past tense: `UserRegistered`."""

    event_id: UUID = field(default_factory=uuid4)
    occurred_at: datetime = field(default_factory=lambda: datetime.now(UTC))


E = TypeVar("E", bound=Event)
Handler = Callable[[AsyncSession, E], Awaitable[None]]

_handlers: defaultdict[type[Event], list[Handler[Any]]] = defaultdict(list)


def subscribe(*event_types: type[E]) -> Callable[[Handler[E]], Handler[E]]:
    """Call the decorated function for each event of these types and their subclasses."""

    def register(handler: Handler[E]) -> Handler[E]:
        for event_type in event_types:
            _handlers[event_type].append(handler)
        return handler

    return register


async def publish(session: AsyncSession, event: Event) -> None:
    """Call all handlers of the event, then log it.

    Handlers of a base class are called first. So a handler of `Event`, which receives all events, receives this one before
    those that the other handlers publish in response.
    """
    for event_type in reversed(type(event).__mro__):
        for handler in _handlers.get(event_type, ()):
            await handler(session, event)
    ids = {name: str(value) for name, value in vars(event).items() if isinstance(value, UUID)}
    logger.debug("event published", type=type(event).__name__, **ids)
